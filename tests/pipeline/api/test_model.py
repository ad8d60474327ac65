"""A model opened in one's own code gives the rows, maps and overlays of the job."""

import json
import subprocess
import sys
from pathlib import Path

import beam_gradcam as bg
import cv2
import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import small_models
import tensorflow as tf
import tf_keras
from rich.console import Console
from source_models import fine_tuned

from pipeline.config import config_of
from pipeline.launch import launch
from transforms.statistics.maps import upsample

NAMES = ["a.png", "b.jpg", "c.png"]
OF_THE_FILE = {"run_id", "uri", "image_id", "content_sha256", "byte_count", "overlay_uri"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos of several sizes, one of them broken, and a model."""
    folder = tmp_path_factory.mktemp("own code")
    noise = np.random.default_rng(4)
    for number, name in enumerate(NAMES):
        small = noise.integers(0, 256, (5 + number, 7, 3), np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(small, (90 + 20 * number, 70), interpolation=cv2.INTER_CUBIC))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    small_models.convolutional(classes=3).save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return bg.open_model(str(folder / "model.keras"), preprocessing="unit", class_names=["x", "y", "z"])


@pytest.fixture(scope="module")
def job(folder):
    """The same by the command line's job."""
    (folder / "manifest.txt").write_text("\n".join([*NAMES, "broken.png"]))
    config = config_of(
        {
            "input": {"manifest": str(folder / "manifest.txt")},
            "model": {"source": str(folder / "model.keras"), "preprocessing": "unit", "class_names": ["x", "y", "z"]},
            "explain": {"targets": "top_k:2"},
            "output": {"path": str(folder / "out")},
            "run": {"max_failure_rate": 1.0},
        }
    )
    assert launch(config, [], Console(quiet=True)) == 0
    return folder / "out"


def values(rows: list[dict], leave: set[str] = frozenset({"run_id", "overlay_uri", "run"})) -> list[dict]:
    return [{name: value for name, value in row.items() if name not in leave} for row in rows]


def test_the_rows_are_those_of_the_job(folder, model, job):
    found = model.explain([folder / name for name in [*NAMES, "broken.png"]], targets="top_k:2")
    rows = found.table()
    assert rows.schema.equals(bg.schema())
    expected = pq.read_table(job / "statistics").to_pylist()
    order = {str(folder / name): number for number, name in enumerate([*NAMES, "broken.png"])}
    expected.sort(key=lambda row: (order[row["uri"]], row["target_rank"] or 0))
    assert values(rows.to_pylist()) == values(expected)
    assert [row["status"] for row in expected] == ["OK"] * 6 + ["DECODE_ERROR"]
    assert len(found) == 7
    assert (found[6].cam, found[6].status) == (None, "DECODE_ERROR")
    assert "PNG" in found[6].error
    with pytest.raises(bg.UserError, match=r"broken\.png has no map: DECODE_ERROR"):
        found[6].heatmap()


def test_bytes_and_pixels_give_the_rows_of_their_files(folder, model):
    path = folder / NAMES[0]
    pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    by_path, by_bytes, by_pixels = model.explain([str(path), path.read_bytes(), pixels])
    expected = values([by_path.statistics], OF_THE_FILE)
    assert values([by_bytes.statistics], OF_THE_FILE) == expected
    assert values([by_pixels.statistics], OF_THE_FILE) == expected
    assert by_bytes.statistics["content_sha256"] == by_path.statistics["content_sha256"]
    assert by_bytes.uri == f"bytes:{by_path.statistics['content_sha256']}"
    assert by_pixels.statistics["content_sha256"] is None
    np.testing.assert_array_equal(by_pixels.overlay(), by_path.overlay())
    np.testing.assert_array_equal(by_bytes.photo(), pixels)


def test_the_map_is_signed_and_its_heatmap_lies_over_the_photo(folder, model):
    for explanation in model.explain([folder / name for name in NAMES], targets=[0, "y", 2]):
        row = explanation.statistics
        assert explanation.cam.max() == np.float32(row["cam_max"])
        assert explanation.cam.min() == np.float32(row["cam_min"])
        heatmap = explanation.heatmap()
        assert heatmap.shape == (row["height"], row["width"])
        if row["status"] == "OK":
            relative = np.maximum(explanation.cam, 0) / explanation.cam.max()
            np.testing.assert_allclose(heatmap, upsample(relative, *heatmap.shape), atol=1e-5)
        else:
            assert not heatmap.any()


def test_the_overlay_is_that_of_the_job(folder, model, job):
    explanation = model.explain([folder / NAMES[1]])[0]
    (written,) = [
        row["overlay_uri"]
        for row in pq.read_table(job / "statistics").to_pylist()
        if row["uri"] == explanation.uri and row["target_rank"] == 1
    ]
    overlay = cv2.cvtColor(cv2.imread(written), cv2.COLOR_BGR2RGB)
    assert np.abs(explanation.overlay().astype(int) - overlay).mean() < 4  # JPEG


def test_what_is_known_of_an_image_comes_along(folder, model):
    image = bg.Image(folder / NAMES[0], label="y", targets=["z", "nothing"], boxes=[(0, 0, 45, 70)])
    first, second = model.explain([image, folder / NAMES[1]], regions={"left": (0, 0, 0.5, 1)})[0::2]
    assert (first.target_name, first.statistics["label_index"]) == ("z", 1)
    assert first.statistics["gt_area"] == pytest.approx(0.5)
    assert first.statistics["region_left_mass"] == pytest.approx(first.statistics["gt_mass"])
    assert second.uri.endswith(NAMES[1])


def test_the_same_image_twice_and_images_beyond_a_batch_come_back_in_order(folder, model):
    paths = [folder / NAMES[number % 3] for number in range(70)]
    found = model.explain(paths)
    assert [explanation.uri for explanation in found] == [str(path) for path in paths]
    assert len({explanation.probability for explanation in found}) == 3
    assert found[3:5].table().num_rows == 2


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_live_model_is_explained_as_its_file_is(folder, tmp_path, library):
    live = fine_tuned(library, augmented=False)
    live.save(tmp_path / "live.keras")
    options = {"preprocessing": "unit"}
    of_file = bg.open_model(str(tmp_path / "live.keras"), **options)
    of_model = bg.open_model(live, **options)
    assert of_model.card.fingerprint == of_file.card.fingerprint
    expected = of_file.explain([folder / NAMES[0]])[0].cam
    np.testing.assert_array_equal(of_model.explain([folder / NAMES[0]])[0].cam, expected)


def test_a_function_of_images_can_be_explained(folder):
    kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 3, 4)), tf.float32)

    class Module(tf.Module):
        def __call__(self, images):
            return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME")), [1, 2])[:, :3]

    model = bg.open_model(Module(), input_size=32, preprocessing="unit")
    assert (model.card.source, model.card.cam_height) == ("Module", 16)
    assert model.explain([folder / NAMES[0]])[0].status in ("OK", "ZERO")


@pytest.mark.parametrize(
    ("images", "options", "says"),
    [
        ([np.zeros((4, 4, 3), np.float32)], {}, r"float32 \[4, 4, 3\] is no image: give RGB pixels as uint8"),
        ([7], {}, "int is no image"),
        (["a.jpg"], {"targets": "best"}, "'best' is not a choice of target classes"),
        (["a.jpg"], {"targets": ["nothing"]}, "no class is called 'nothing'"),
        (["a.jpg"], {"targets": "top_k:9"}, "the model has 3 classes"),
        (["a.jpg"], {"regions": {"left": (0, 0, 2, 1)}}, "left: write"),
    ],
)
def test_what_cannot_be_is_refused(model, images, options, says):
    with pytest.raises(bg.UserError, match=says):
        model.explain(images, **options)


def test_wrong_options_of_a_model_are_refused_as_a_config_would(folder):
    with pytest.raises(bg.UserError, match=r"model\.preprocesing: unknown key; did you mean preprocessing"):
        bg.open_model(str(folder / "model.keras"), preprocesing="unit")
    with pytest.raises(bg.UserError, match=r"explain\.method: 'best' is wrong; write one of gradcam, "):
        bg.open_model(str(folder / "model.keras"), method="best")
    with pytest.raises(bg.UserError, match="there is no model at"):
        bg.open_model(str(folder / "nothing.keras"))


def test_a_compiled_model_is_kept_where_one_says_so(folder, tmp_path, model):
    options = {"preprocessing": "unit", "models": str(tmp_path / "models")}
    kept = bg.open_model(str(folder / "model.keras"), **options)
    assert json.loads(Path(kept.folder, "explanation.json").read_text())["fingerprint"] == model.card.fingerprint
    code = (
        "import sys, beam_gradcam as bg\n"
        f"model = bg.open_model({str(folder / 'model.keras')!r}, **{options!r})\n"
        "print('keras' in sys.modules and 'transforms.model.load.loaders' in sys.modules)"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert again.stdout.split() == ["False"]  # found compiled: not loaded anew


def test_a_stored_run_answers(folder, job):
    with bg.open_run(str(job)) as run:
        assert run.table().num_rows == 7
        assert run.summary.images == 4
        counts = run.sql("SELECT status, count(*) AS rows FROM statistics GROUP BY status ORDER BY status")
        assert counts.to_pylist() == [{"status": "DECODE_ERROR", "rows": 1}, {"status": "OK", "rows": 6}]
        worst = run.images("WHERE status = 'OK' AND target_rank = 1", order="border_lift DESC", limit=2)
        assert len(worst) == worst.table().num_rows == 2
        assert worst[0].statistics["border_lift"] >= worst[1].statistics["border_lift"]
        fresh = bg.open_model(str(folder / "model.keras"), preprocessing="unit", class_names=["x", "y", "z"]).explain(
            [worst[0].uri]
        )[0]
        np.testing.assert_allclose(worst[0].cam, np.maximum(fresh.cam, 0), rtol=1e-6)
        assert np.abs(worst[0].overlay().astype(int) - fresh.overlay()).max() <= 2
    with pytest.raises(bg.UserError, match="holds no run"):
        bg.open_run(str(folder / "nowhere"))
    with pytest.raises(bg.UserError, match="no run 'r9'"):
        bg.open_run(str(job), "r9")


def test_a_stored_run_cannot_be_made_to_read_anything_else(job):
    with bg.open_run(str(job)) as run, pytest.raises(Exception, match="disabled"):
        run.sql("SELECT * FROM read_text('/etc/hostname')")
