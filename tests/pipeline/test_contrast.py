"""Whole jobs that set each image's class against its label, and what the table says of it."""

import json

import beam_gradcam as bg
import cv2
import numpy as np
import pyarrow.dataset as ds
import pytest
import small_models
from rich.console import Console

from pipeline.config import ConfigError, config_of
from pipeline.launch import launch

NAMES = ["ant", "bee", "cat", "dog", "emu"]
COUNT = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contrast")
    noise = np.random.default_rng(3)
    for number in range(COUNT):
        small = noise.integers(0, 256, (4, 4, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(small, (32, 32), interpolation=cv2.INTER_CUBIC))
    small_models.convolutional().save(folder / "m.keras")
    return folder


def run(folder, labels: list[str], output: str, contrast="label", header="uri,label") -> tuple[dict, list[dict]]:
    lines = [f"{number}.png,{label}" for number, label in enumerate(labels)]
    (folder / "m.csv").write_text("\n".join([header, *lines, "lost.png,ant"]))
    config = {
        "input": {"manifest": str(folder / "m.csv")},
        "model": {
            "source": str(folder / "m.keras"), "preprocessing": "none", "check": 5, "class_names": NAMES,
        },
        "explain": {"contrast": contrast, "batch_size": 2},
        "output": {"path": str(folder / output)},
        "overlays": {"policy": "none"},
        "run": {"max_failure_rate": 1.0},
    }  # fmt: skip
    launch(config_of(config), [], Console(quiet=True))
    newest = max((folder / output / "runs").iterdir(), key=lambda run: (run / "summary.json").stat().st_mtime_ns)
    rows = sorted(ds.dataset(f"{folder}/{output}/statistics").to_table().to_pylist(), key=lambda row: row["uri"])
    return json.loads((newest / "summary.json").read_text()), rows


def test_every_row_says_its_class_and_a_label_that_changes_is_explained_again(folder):
    _, plain = run(folder, ["ant"] * COUNT, "plain", contrast=None)
    predicted = [row["predicted_index"] for row in plain[:COUNT]]
    assert "contrast_index" not in plain[0]
    wrong = (predicted[0] + 2) % 5
    labels = [NAMES[wrong], NAMES[predicted[1]], "", "no such class", NAMES[(predicted[4] + 1) % 5]]
    summary, rows = run(folder, labels, "out")
    assert summary["explained_now"] == COUNT + 1
    assert (rows[0]["contrast_index"], rows[0]["contrast_name"]) == (wrong, NAMES[wrong])
    assert rows[4]["contrast_name"] == labels[4]
    for row in rows[1:4]:  # right, without a label, of a class that the model does not have: the runner-up
        assert row["contrast_index"] not in (row["predicted_index"], None)
        assert row["target_score"] == pytest.approx(row["margin"], rel=1e-3)
        assert row["target_score"] > 0
    assert rows[COUNT]["status"] == "FETCH_ERROR"
    assert rows[COUNT]["contrast_index"] is None

    labels[0] = NAMES[(wrong + 1) % 5] if (wrong + 1) % 5 != predicted[0] else NAMES[(wrong + 2) % 5]
    summary, again = run(folder, labels, "out")
    assert (summary["explained_now"], summary["events"].get("corrected_images")) == (1, None)
    assert again[0]["contrast_name"] == labels[0]
    assert again[0]["cam_max"] != rows[0]["cam_max"]
    assert [row["run_id"] for row in again[1:COUNT]] == [row["run_id"] for row in rows[1:COUNT]]
    summary, _ = run(folder, labels, "out")
    assert summary["explained_now"] == 0


def test_a_manifest_without_labels_is_refused(folder):
    with pytest.raises(ConfigError, match=r"explain\.contrast: label, but .* has no labels: no column label"):
        run(folder, ["ant"] * COUNT, "none", header="uri,species")


def test_ones_own_code_says_the_label_with_the_image(folder):
    model = bg.open_model(
        str(folder / "m.keras"), preprocessing="none", class_names=NAMES, contrast="label", batch_size=2
    )
    photos = [cv2.imread(str(folder / f"{number}.png"))[:, :, ::-1].copy() for number in range(3)]
    images = [bg.Image(photos[0], label="emu"), bg.Image(photos[1], label="dog"), photos[2]]
    rows = model.explain(images, targets=[2]).table()
    assert rows["contrast_name"].to_pylist()[:2] == ["emu", "dog"]
    assert rows["contrast_index"].to_pylist()[2] == np.argsort(-_scores(folder, photos[2]))[0]
    assert rows.schema.equals(bg.schema(contrast=True))


def _scores(folder, photo) -> np.ndarray:
    import keras

    scores = keras.saving.load_model(folder / "m.keras").predict(photo[None].astype(np.float32), verbose=0)[0]
    return np.where(np.arange(5) == 2, -1, scores)  # of the classes but the target
