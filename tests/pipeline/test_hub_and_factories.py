"""From the command line, on real photos: modules of TF Hub, and a base that was fine-tuned with a new head."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras
import yaml
from model_inputs import model_input

from transforms.manifest.read import Manifest, read_manifest
from transforms.storage.storage import Storage

SIDE = 64
TOLERANCE = 1e-4  # of the largest value of a map, in float32
FACTORY = f"""
import tf_keras

def base():
    layers = tf_keras.layers
    inputs = tf_keras.Input(({SIDE}, {SIDE}, 3))
    x = layers.Conv2D(12, 3, strides=4, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.add([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.Conv2D(16, 3, strides=2, padding="same")(x)
    return tf_keras.Model(inputs, layers.ReLU(name="last_features")(x), name="base")

def pets():
    layers = tf_keras.layers
    inputs = tf_keras.Input(({SIDE}, {SIDE}, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(layers.RandomFlip()(inputs))
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(base()(x)))
    return tf_keras.Model(inputs, layers.Dense(5, activation="softmax", name="kinds")(x))
"""


def photos() -> list[str]:
    return [ref.uri for ref in read_manifest(Manifest("bundled:photos"), Storage())]


def trained(model, seed: int = 4):
    """Weights and statistics as after training: nothing is 0 or 1."""
    noise = np.random.default_rng(seed)
    for weight in model.weights:
        values = noise.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name or "gamma" in weight.name else values)
    return model


def functions() -> dict:
    namespace: dict = {}
    exec(FACTORY, namespace)
    return namespace


def explain(folder: Path, model: dict, targets) -> tuple[list[dict], dict]:
    """``beam-gradcam run`` in a process of its own; the rows, and the card of the compiled model."""
    (folder / "photos.txt").write_text("\n".join(photos()))
    config = {
        "input": {"manifest": "photos.txt"},
        "model": model,
        "explain": {"targets": targets, "batch_size": 4},
        "overlays": {"policy": "none"},
        "output": {"path": "out"},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(config))
    command = Path(sys.executable).with_name("beam-gradcam")
    done = subprocess.run([command, "run", "job.yaml"], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.strip().splitlines()[-1])
    assert (outcome["images"], outcome["failures"]) == (len(photos()), 0)
    card = json.loads(next(folder.glob("out/models/*/explanation.json")).read_text())
    return pq.read_table(folder / "out" / "statistics").to_pylist(), card


def check(rows: list[dict], scaled, base, head, classes_per_image: int) -> None:
    """Compare every row with a GradientTape on the original layers.

    Args:
        scaled, base, head: pixels 0..255 -> input of the base -> features -> logits.
    """
    assert len(rows) == classes_per_image * len(photos())
    for row in rows:
        pixels = model_input(row["uri"], SIDE)[None].astype(np.float32)
        with tf.GradientTape() as tape:
            features = base(scaled(pixels), training=False)
            tape.watch(features)
            score = head(features)[0, row["target_index"]]
        weights = tf.reduce_mean(tape.gradient(score, features), axis=[1, 2])
        cam = np.einsum("hwc,c->hw", features[0], weights[0])
        assert (row["cam_height"], row["cam_width"]) == cam.shape
        largest = np.abs(cam).max()
        assert abs(row["cam_max"] - cam.max()) <= TOLERANCE * largest
        assert abs(row["cam_min"] - cam.min()) <= TOLERANCE * largest
        assert row["status"] == ("OK" if cam.max() > 0 else "ZERO")
        if row["status"] == "OK":
            np.testing.assert_allclose(np.reshape(row["cam"], cam.shape), np.maximum(cam, 0) / cam.max(), atol=1e-3)
        assert row["target_score"] == pytest.approx(float(score), rel=1e-4, abs=1e-4)


def linear(dense):
    return lambda features: tf.reduce_mean(features, [1, 2]) @ dense.kernel + dense.bias


def unit(pixels):
    return pixels / 255


@pytest.fixture(scope="module")
def feature_module(tmp_path_factory):
    """A folder as unpacked from TF Hub: features of images of 0..1; and the network in it."""
    base = trained(functions()["base"]())
    folder = tmp_path_factory.mktemp("hub") / "feature_vector"
    tf_keras.Model(base.input, tf_keras.layers.GlobalAveragePooling2D()(base.output)).save(folder, save_format="tf")
    return folder, base


@pytest.mark.slow
def test_a_hub_classifier(tmp_path):
    base, dense = trained(functions()["base"]()), tf_keras.layers.Dense(7)
    model = tf_keras.Model(base.input, dense(tf_keras.layers.GlobalAveragePooling2D()(base.output)))
    trained(dense)
    model.save(tmp_path / "module", save_format="tf")
    rows, card = explain(tmp_path, {"source": f"hub:{tmp_path / 'module'}"}, "top_k:2")
    check(rows, unit, base, linear(dense), classes_per_image=2)
    assert "last_features" in card["target_layer"]


@pytest.mark.parametrize("name", ["model.h5", pytest.param("model.keras", marks=pytest.mark.slow)])
def test_a_head_on_a_hub_layer(tmp_path, feature_module, name):
    folder, base = feature_module
    layer = hub.KerasLayer(str(folder), input_shape=(SIDE, SIDE, 3), trainable=True, name="backbone")
    dense = tf_keras.layers.Dense(3, activation="softmax")
    model = tf_keras.Sequential([layer, dense])
    trained(dense)
    model.save(tmp_path / name)
    rows, card = explain(tmp_path, {"source": name, "class_names": ["cat", "cup", "other"]}, ["cat", "cup", 2])
    check(rows, unit, base, linear(dense), classes_per_image=3)
    assert "backbone/" in card["target_layer"]
    assert "last_features" in card["target_layer"]
    assert {row["target_name"] for row in rows} == {"cat", "cup", "other"}


@pytest.mark.slow
def test_a_fine_tuned_factory_with_its_weights(tmp_path):
    (tmp_path / "my_models.py").write_text(FACTORY)
    model = trained(functions()["pets"]())
    model.save_weights(tmp_path / "pets.weights.h5")
    rows, card = explain(tmp_path, {"source": "my_models:pets", "weights": "pets.weights.h5"}, "top_k:3")
    base, dense = model.get_layer("base"), model.get_layer("kinds")
    check(rows, lambda pixels: pixels / 127.5 - 1, base, linear(dense), classes_per_image=3)
    assert card["target_layer"] == "base/last_features"
    assert sorted(row["target_rank"] for row in rows) == [1] * 6 + [2] * 6 + [3] * 6
