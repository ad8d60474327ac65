"""Whole jobs whose maps are those of several layers: the table and the overlays have the finer grid."""

import json

import cv2
import keras
import numpy as np
import pyarrow.dataset as ds
import pytest
from keras import layers
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import config_of
from pipeline.launch import launch


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A model that sees how bright a spot is on 4 x 4 cells, out of 16 x 16, and photos with a spot."""
    folder = tmp_path_factory.mktemp("fused")
    image = keras.Input((64, 64, 3))
    x = layers.AveragePooling2D(4)(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(3, 1, activation="relu", name="fine")(x)
    x = layers.Conv2D(3, 4, strides=4, activation="relu", name="coarse")(x)
    model = keras.Model(image, layers.Dense(3, name="scores")(layers.GlobalAveragePooling2D()(x)))
    colours = (np.eye(3) * 1.5 - 0.5).astype(np.float32)
    model.get_layer("fine").set_weights([colours[None, None], np.full(3, -0.3, np.float32)])
    model.get_layer("coarse").set_weights([np.tile(np.eye(3, dtype=np.float32), (4, 4, 1, 1)), np.zeros(3, np.float32)])
    model.get_layer("scores").set_weights([np.eye(3, dtype=np.float32) * 50, np.zeros(3, np.float32)])
    model.save(folder / "m.keras")
    lines, noise = ["uri,boxes"], np.random.default_rng(2)
    for number in range(4):
        picture = noise.integers(60, 80, (64, 64, 3)).astype(np.uint8)
        top, left = (noise.integers(0, 14, 2) * 4).tolist()
        picture[top : top + 8, left : left + 8] = 0
        picture[top : top + 8, left : left + 8, number % 3] = 255
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        lines.append(f'{number}.png,"[[{left}, {top}, {left + 8}, {top + 8}]]"')
    (folder / "m.csv").write_text("\n".join(lines))
    return folder


def rows_of(folder, layers_: int) -> list[dict]:
    config = {
        "input": {"manifest": str(folder / "m.csv")},
        "model": {"source": str(folder / "m.keras"), "check": 0},
        "explain": {"layers": layers_, "batch_size": 2},
        "output": {"path": str(folder / f"out{layers_}")},
        "run": {"report": True},
    }
    launch(config_of(config), [], Console(quiet=True))
    return sorted(ds.dataset(f"{folder}/out{layers_}/statistics").to_table().to_pylist(), key=lambda row: row["uri"])


def test_a_spot_that_is_smaller_than_a_cell_is_found_on_the_finer_grid(job):
    coarse, fused = rows_of(job, 1), rows_of(job, 2)
    for one, two in zip(coarse, fused, strict=True):
        assert (one["cam_height"], two["cam_height"], len(two["cam"])) == (4, 16, 256)
        assert (one["status"], two["status"], two["point_hit"]) == ("OK", "OK", 1.0)
        assert one["fingerprint"] != two["fingerprint"]
        assert two["gt_lift"] > 2 * one["gt_lift"]
        assert two["cam_min"] == 0.0
        assert 0 < two["cam_max"] <= one["cam_max"] * (1 + 1e-5)
        overlay = cv2.imread(two["overlay_uri"])
        assert overlay.shape == (64, 64, 3)
    assert (job / "out2" / "runs").exists()
    card = json.loads(next((job / "out2" / "models").rglob("explanation.json")).read_text())
    assert (card["fused"], card["fusion"], card["target_layer"]) == (["fine", "coarse"], "product", "coarse")


def test_inspect_and_compile_say_which_layers(job, tmp_path):
    asked = [str(job / "m.keras"), "--set", "explain.layers=2", "--set", "explain.fusion=maximum"]
    said = " ".join(CliRunner().invoke(app, ["inspect", *asked]).output.split())
    assert "maps are the maximum of those of fine (16 x 16), coarse (4 x 4), on 16 x 16 cells" in said
    said = CliRunner().invoke(app, ["compile", asked[0], str(tmp_path / "c"), *asked[1:]]).output
    assert "gradcam, maximum of 2 layers at coarse, 16 x 16 cells" in said
    answer = CliRunner().invoke(app, ["inspect", asked[0], "--set", "explain.layers=5"])
    assert answer.exit_code == 2
    assert "only 2 are different enough" in " ".join(answer.output.split())
