"""Whole runs that keep embeddings: what a rerun explains again, and compiled models of an earlier version."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from colour_models import NAMES, colour_classifier, write_pictures
from rich.console import Console

from pipeline.config.schema import Config
from pipeline.launch.run import launch
from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage


def run(folder: Path, manifest: Path, **settings) -> dict:
    config = Config.model_validate(
        {
            "input": {"manifest": str(manifest)},
            "model": {"source": "none"},
            "overlays": {"policy": "none"},
            "output": {"path": str(folder / "out")},
            "explain": {key: value for key, value in settings.items() if key == "embedding"},
            "run": {"shard_size": 10} | {key: value for key, value in settings.items() if key != "embedding"},
        }
    )
    assert launch(config, (), Console(quiet=True)) == 0
    return json.loads((folder / "out" / "runs" / settings["id"] / "summary.json").read_text())


@pytest.mark.timeout(120)
def test_a_rerun_with_embeddings_explains_what_has_none_and_the_next_one_nothing(tmp_path):
    manifest = write_pictures(tmp_path)
    without = run(tmp_path, manifest, id="r1")
    wanted = run(tmp_path, manifest, id="r2", embedding=True, loaders=1)
    again = run(tmp_path, manifest, id="r3", embedding=True, report=True)
    later = run(tmp_path, manifest, id="r4")
    count = without["images"]
    assert count > 10
    assert [each["explained_now"] for each in (without, wanted, again, later)] == [count, count, 0, 0]
    neighbours = pq.read_table(tmp_path / "out" / "runs" / "r3" / "neighbours.parquet")  # of what r2 explained
    assert neighbours.num_rows == count
    assert 'id="neighbours"' in (tmp_path / "out" / "runs" / "r3" / "report" / "index.html").read_text()
    embeddings = pq.read_table(tmp_path / "out" / "embeddings").to_pylist()
    rows = pq.read_table(tmp_path / "out" / "statistics", filters=[("run", "=", "r2")]).to_pylist()
    assert sorted(row["image_id"] for row in embeddings) == sorted(row["image_id"] for row in rows)
    cams = {row["image_id"]: row for row in rows}
    for row in embeddings:  # without a model, the map itself
        statistics = cams[row["image_id"]]
        assert len(row["embedding"]) == 49
        np.testing.assert_allclose(max(row["embedding"]), statistics["cam_max"], atol=0.07)
        assert row["predicted_index"] == statistics["predicted_index"] == 0


def test_a_model_that_an_earlier_version_compiled_is_compiled_again_only_where_embeddings_are_wanted(tmp_path):
    model = colour_classifier()
    model.save(tmp_path / "model.keras")
    storage, folder = Storage(), str(tmp_path / "models")
    options = ModelOptions(str(tmp_path / "model.keras"), class_names=NAMES, preprocessing="minus_one_to_one")
    card = compile_model(options, folder, storage)
    assert card.embedding > 1
    path = tmp_path / "models" / card.fingerprint / "explanation.json"
    earlier = json.loads(path.read_text())
    del earlier["embedding"]
    path.write_text(json.dumps(earlier))
    before = (path.parent / "saved_model.pb").stat().st_mtime_ns
    assert compile_model(options, folder, storage).embedding == 0
    assert (path.parent / "saved_model.pb").stat().st_mtime_ns == before
    anew = compile_model(options, folder, storage, embedding=True)
    assert (anew.fingerprint, anew.embedding) == (card.fingerprint, card.embedding)
    assert (path.parent / "saved_model.pb").stat().st_mtime_ns > before
    size = (2, anew.input_height, anew.input_width, 3)
    loaded = load_compiled(str(path.parent), storage, 2, anew)
    explanation = loaded.explain(np.zeros(size, np.uint8), np.full((2, 1), -1, np.int32))
    assert explanation.embedding.shape == (2, anew.embedding)
