"""Runs of models that crop their input by themselves: regions declared later, comparisons, what inspect says."""

import json

import cv2
import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from keras import layers
from rich.console import Console

from pipeline.audit.compare import write_comparison
from pipeline.audit.inputs.table import open_table
from pipeline.config.schema import Compare, Config
from pipeline.launch.run import launch
from pipeline.runs.record import find_run
from pipeline.show_model import print_inspection
from transforms.model import ModelOptions, compile_model, inspect_model, read_card
from transforms.statistics import jensen_shannon_distance
from transforms.storage.storage import Storage

STORAGE = Storage()
CONSOLE = Console(stderr=True)
BOX = (0.1, 0.3, 0.6, 0.7)


def save(path, front):
    """Cells of 8 x 8 pixels that answer for themselves."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [layers.Input((64, 64, 3)), layers.Rescaling(1 / 255), *front,
         layers.Conv2D(4, 8, 8, activation="relu", bias_initializer="ones"),
         layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )  # fmt: skip
    model.save(path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    photos = folder / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0)
    for number in range(6):
        coarse = noise.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(photos / f"{number}.png"), cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_NEAREST))
    save(folder / "cropped.keras", [layers.Cropping2D(((32, 0), (0, 0)))])
    save(folder / "whole.keras", [])
    for name, source, regions in (
        ("declared", "cropped", {"box": BOX}), ("later", "cropped", {}), ("whole", "whole", {})
    ):  # fmt: skip
        settings = {
            "input": {"manifest": f"{photos}/*.png"},
            "model": {"source": str(folder / f"{source}.keras")},
            "output": {"path": str(folder / name)},
            "audit": {"regions": regions},
        }
        assert launch(Config.model_validate(settings), [], CONSOLE) == 0
    return folder


def rows(folder, name):
    return sorted(pq.read_table(folder / name / "statistics").to_pylist(), key=lambda row: row["image_id"])


def test_the_card_says_what_is_seen(runs):
    run = find_run(str(runs / "declared"), None, STORAGE)
    assert read_card(run.model, STORAGE).seen == (0.0, 0.5, 1.0, 1.0)
    assert read_card(find_run(str(runs / "whole"), None, STORAGE).model, STORAGE).seen == (0.0, 0.0, 1.0, 1.0)
    assert all(0.5 < row["centroid_y"] < 1 for row in rows(runs, "declared"))


def test_regions_declared_later_are_those_of_the_run(runs):
    run = find_run(str(runs / "later"), None, STORAGE)
    with open_table({"statistics": run}, STORAGE, {"box": BOX, "hidden": (0, 0, 1, 0.4)}) as table:
        found = table.arrays(
            "SELECT region_box_mass AS mass, region_box_lift AS lift, region_hidden_mass AS hidden, "
            "region_hidden_lift AS hidden_lift FROM statistics ORDER BY image_id"
        )
    made = rows(runs, "declared")
    np.testing.assert_allclose(found["mass"], [row["region_box_mass"] for row in made], rtol=2e-3)
    np.testing.assert_allclose(found["lift"], [row["region_box_lift"] for row in made], rtol=2e-3)
    cam = np.array(made[0]["cam"], np.float64).reshape(4, 8)  # rows from 32 to 64 pixels; the box ends at 44.8
    covered = np.outer([1, 0.6, 0, 0], [0.2, 1, 1, 1, 0.8, 0, 0, 0])
    assert made[0]["region_box_mass"] == pytest.approx((cam * covered).sum() / cam.sum(), rel=2e-3)
    np.testing.assert_array_equal(found["hidden"], 0)
    assert np.isnan(found["hidden_lift"]).all()


def test_maps_over_different_parts_are_compared_in_one_frame(runs):
    before, after = (find_run(str(runs / name), None, STORAGE) for name in ("whole", "declared"))
    summary = write_comparison(before, after, Compare(), STORAGE)
    assert any("see different parts of their input" in note for note in summary["notes"])
    distances = []
    for first, second in zip(rows(runs, "whole"), rows(runs, "declared"), strict=True):
        if first["target_index"] == second["target_index"]:
            whole, cropped = (np.array(row["cam"], np.float64).reshape(-1, 8) for row in (first, second))
            coarse = whole.reshape(4, 2, 8).sum(axis=1)  # four rows over the whole input
            there = np.vstack([np.zeros((2, 8)), cropped.reshape(2, 2, 8).sum(axis=1)])
            distances.append(jensen_shannon_distance(coarse[None], there[None])[0])
    assert summary["pairs"] == len(distances) > 0
    assert summary["means"]["distance"]["mean"] == pytest.approx(np.mean(distances), rel=1e-3)


def test_a_model_that_an_earlier_version_compiled_is_looked_at_again(runs, tmp_path):
    for name, seen in (("cropped", (0.0, 0.5, 1.0, 1.0)), ("whole", (0.0, 0.0, 1.0, 1.0))):
        options = ModelOptions(str(runs / f"{name}.keras"))
        card = compile_model(options, str(tmp_path / name), STORAGE)
        path = tmp_path / name / card.fingerprint / "explanation.json"
        earlier = json.loads(path.read_text())
        del earlier["seen"]
        path.write_text(json.dumps(earlier))
        assert read_card(str(path.parent), STORAGE).seen == (0.0, 0.0, 1.0, 1.0)
        again = compile_model(options, str(tmp_path / name), STORAGE)
        assert (again.seen, again.fingerprint) == (seen, card.fingerprint)


def test_inspect_says_what_is_seen(runs):
    inspection = inspect_model(ModelOptions(str(runs / "cropped.keras")), STORAGE)
    assert inspection.seen == (0.0, 0.5, 1.0, 1.0)
    console = Console(record=True, width=200)
    print_inspection(inspection, console)
    text = console.export_text()
    assert "[0, 0.5, 1, 1] of the input" in text
    assert "the model crops its input by itself" in text
