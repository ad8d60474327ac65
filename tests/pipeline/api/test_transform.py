"""``bg.Explain`` in somebody's own pipeline, on FnApiRunner."""

from pathlib import Path

import apache_beam as beam
import beam_gradcam as bg
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import small_models
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from source_models import fine_tuned

COUNT = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own pipeline")
    noise = np.random.default_rng(4)
    for number in range(COUNT):
        cv2.imwrite(str(folder / f"{number:02d}.png"), noise.integers(0, 256, (40, 50, 3), np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    small_models.convolutional().save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def uris(folder):
    return [*(str(folder / f"{number:02d}.png") for number in range(COUNT)), str(folder / "broken.png"),
            str(folder / "missing.png")]  # fmt: skip


@pytest.fixture(scope="module")
def expected(folder, uris):
    """The rows, by URI."""
    found = bg.open_model(str(folder / "model.keras"), preprocessing="unit").explain(uris)
    return {row["uri"]: row for row in found.table().to_pylist()}


def pipeline() -> beam.Pipeline:
    return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))


def explain(folder, **options) -> bg.Explain:
    return bg.Explain(str(folder / "model.keras"), preprocessing="unit", batch_size=4, **options)


def same(wanted: dict):
    def check(rows):
        assert {row["uri"]: row for row in rows} == wanted
        assert len(rows) == len(wanted)

    return check


def test_uris_become_rows_and_a_failed_image_is_a_row(folder, uris, expected):
    assert [expected[uri]["status"] for uri in uris[-3:]] == ["OK", "DECODE_ERROR", "FETCH_ERROR"]
    with pipeline() as root:
        assert_that(root | beam.Create(uris) | explain(folder), same(expected))


def test_rows_are_written_to_parquet_by_beam(folder, uris, expected, tmp_path):
    with pipeline() as root:
        rows = root | beam.Create(uris) | explain(folder)
        rows | beam.io.WriteToParquet(str(tmp_path / "rows"), bg.schema())
    read = pq.read_table(tmp_path)
    assert read.schema.equals(bg.schema())
    assert {row["uri"]: row for row in read.to_pylist()} == expected


def test_keys_are_kept_and_content_may_come_along(folder, uris, expected):
    given = [
        *((("uri", uri), uri) for uri in uris),
        *((("bytes", uri), Path(uri).read_bytes()) for uri in uris[:COUNT]),
        *((("pixels", uri), cv2.imread(uri)[:, :, ::-1]) for uri in uris[:COUNT]),
        (("image", uris[0]), bg.Image(uris[0], label=1)),
    ]

    def check(pairs):
        assert sorted(key for key, _ in pairs) == sorted(key for key, _ in given)
        for (kind, uri), row in pairs:
            wanted = expected[uri]
            assert row["target_score"] == wanted["target_score"], kind
            assert row["cam"] == wanted["cam"]
            assert (row["uri"] == uri) == (kind in ("uri", "image"))
            assert row["label_index"] == (1 if kind == "image" else None)

    with pipeline() as root:
        assert_that(root | beam.Create(given) | explain(folder), check)


def test_overlays_are_written_where_a_folder_is_given(folder, uris, expected, tmp_path):
    def check(rows):
        written = {row["overlay_uri"] for row in rows if row["status"] == "OK"}
        assert written == {str(path) for path in (tmp_path / "overlays").rglob("*.jpg")}
        assert len(written) == COUNT

    with pipeline() as root:
        assert_that(root | beam.Create(uris) | explain(folder, overlays=str(tmp_path / "overlays")), check)


def test_counters_and_distributions_say_what_happened(folder, uris):
    root = pipeline()
    _ = root | beam.Create(uris) | explain(folder, targets="top_k:2")
    found = root.run().metrics().query(MetricsFilter().with_namespace("beam_gradcam"))
    counters = {counter.key.metric.name: counter.committed for counter in found["counters"]}
    assert counters["images"] == COUNT + 2
    assert (counters["images_OK"], counters["images_DECODE_ERROR"], counters["images_FETCH_ERROR"]) == (COUNT, 1, 1)
    assert (counters["rows"], counters["batches"]) == (2 * COUNT + 2, COUNT // 4)
    assert counters["bytes_read"] == sum(len(Path(uri).read_bytes()) for uri in uris[:-1])
    distributions = {each.key.metric.name: each.committed for each in found["distributions"]}
    assert distributions["fetch_ms"].count == COUNT + 2
    assert distributions["decode_ms"].count == COUNT + 1
    assert distributions["compute_ms"].count == COUNT // 4


@pytest.mark.parametrize("how", ["opened", "live", "kept", "live and kept"])
def test_a_model_reaches_the_workers_in_other_ways_too(folder, uris, tmp_path, how):
    model = fine_tuned(small_models.keras, augmented=False)
    options = {"preprocessing": "unit"}
    expected = bg.open_model(model, **options).explain(uris[:3])
    if how == "opened":
        step = bg.Explain(bg.open_model(model, **options))
    elif how == "live":
        step = bg.Explain(model, **options)
    else:
        if how == "kept":
            model.save(tmp_path / "model.keras")
            model = str(tmp_path / "model.keras")
        step = bg.Explain(model, models=str(tmp_path / "models"), **options)
    with pipeline() as root:
        assert_that(
            root | beam.Create(uris[:3]) | step, same({row["uri"]: row for row in expected.table().to_pylist()})
        )


def test_what_cannot_be_is_said_when_the_pipeline_is_built(folder):
    with pytest.raises(bg.UserError, match="not a choice of target classes"):
        explain(folder, targets="best")
    with pytest.raises(bg.UserError, match=r"model\.sise: unknown key"):
        explain(folder, sise=3)
    opened = bg.open_model(str(folder / "model.keras"), preprocessing="unit")
    with pytest.raises(bg.UserError, match="preprocessing: the model is open already"):
        bg.Explain(opened, preprocessing="unit")
