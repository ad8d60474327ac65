"""The whole product: configs in, real photos, real models, the real runner; table and overlays read back."""

import json

import cv2
import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from model_inputs import model_input
from rich.console import Console

from pipeline.config.schema import Config
from pipeline.launch.run import launch
from transforms.manifest.read import Manifest, read_manifest
from transforms.model.load.bundled.efficientnet_lite0 import build_efficientnet_lite0
from transforms.storage.storage import Storage

CONSOLE = Console(stderr=True)


def rows_of(output) -> dict[str, dict]:
    rows = pq.read_table(output / "statistics").to_pylist()
    return {f"{row['uri'].rpartition('/')[2]}-{row['target_index']}": row for row in rows}


def tape_gradcam(features: keras.Model, dense: keras.layers.Dense, inputs: np.ndarray, target: int):
    """Selvaraju et al. 2017 for a pooled linear head, one image at a time, float32, nothing folded: the reference."""
    with tf.GradientTape() as tape:
        activations = features(inputs[None], training=False)
        tape.watch(activations)
        score = (tf.reduce_mean(activations, axis=(1, 2)) @ dense.kernel + dense.bias)[0, target]
    weights = tf.reduce_mean(tape.gradient(score, activations), axis=(1, 2))
    return np.einsum("hwc,c->hw", activations[0].numpy(), weights[0].numpy()), float(score)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    output = tmp_path_factory.mktemp("demo") / "out"
    config = Config.model_validate(
        {"output": {"path": str(output)}, "explain": {"targets": "top_k:2", "batch_size": 4}}
    )
    assert launch(config, [], CONSOLE) == 0
    return config, output, rows_of(output)


def test_the_bundled_model_sees_the_cat_and_the_coffee(demo):
    _, _, rows = demo
    assert len(rows) == 12
    cat, coffee = rows["chelsea.png-285"], rows["coffee.png-967"]
    assert (cat["predicted_name"], coffee["predicted_name"]) == ("Egyptian cat", "espresso")
    assert cat["predicted_probability"] == pytest.approx(0.78, abs=0.01)
    assert coffee["predicted_probability"] == pytest.approx(0.90, abs=0.01)
    # The face fills the middle of chelsea.png; the cup stands left of the middle and above it.
    assert cat["centroid_x"] == pytest.approx(0.48, abs=0.06)
    assert cat["centroid_y"] == pytest.approx(0.49, abs=0.06)
    assert coffee["centroid_x"] < 0.5
    assert coffee["centroid_y"] < 0.5
    assert (cat["target_rank"], cat["status"], cat["width"], cat["height"]) == (1, "OK", 451, 300)


def test_the_table_agrees_with_a_gradient_tape_on_the_keras_model(demo):
    _, _, rows = demo
    model = build_efficientnet_lite0()
    features = keras.Model(model.inputs[0], model.get_layer("top_activation").output)
    dense = model.get_layer("predictions")
    for ref in read_manifest(Manifest("bundled:photos"), Storage()):
        resized = model_input(ref.uri, 224)
        for row in (row for row in rows.values() if row["image_id"] == ref.image_id):
            cam, score = tape_gradcam(features, dense, (resized.astype(np.float32) - 127) / 128, row["target_index"])
            relative = np.maximum(cam, 0) / cam.max()
            np.testing.assert_allclose(np.reshape(row["cam"], (7, 7)), relative, atol=1e-3)
            assert row["cam_max"] == pytest.approx(cam.max(), rel=1e-4)
            assert row["cam_min"] == pytest.approx(cam.min(), abs=1e-4 * float(cam.max()))
            assert row["target_score"] == pytest.approx(score, rel=1e-4)
            a = np.array(features((resized[None].astype(np.float32) - 127) / 128, training=False))[0]
            for drop, mask in (("feature_keep_drop", relative), ("feature_remove_drop", 1 - relative)):
                there, rerun = (
                    float(dense(each.mean(axis=(0, 1))[None])[0, row["target_index"]])
                    for each in (a, a * mask[..., None])
                )
                assert row[drop] == pytest.approx(there - rerun, abs=1e-4)
            assert row["evidence_sum"] + float(dense.bias[row["target_index"]]) == pytest.approx(score, abs=1e-3)


def test_overlays_show_the_photo_and_the_heat(demo):
    _, _, rows = demo
    cat = rows["chelsea.png-285"]
    overlay, photo = cv2.imread(cat["overlay_uri"]), cv2.imread(cat["uri"])
    assert overlay.shape == photo.shape
    heat = overlay.astype(int) - 0.6 * photo
    red, blue = heat[..., 2].mean(axis=-1), heat[..., 0].mean(axis=-1)
    assert red[100:200].mean() > blue[100:200].mean()  # jet: hot on the face
    assert (heat[:30, :30, 0] > heat[:30, :30, 2]).all()  # cold in the corner


def test_the_summary_accounts_for_every_line_and_the_same_run_again_has_nothing_to_do(demo):
    config, output, rows = demo
    assert launch(config, [], CONSOLE) == 0
    first, second = (json.loads(path.read_text()) for path in sorted(output.glob("runs/*/summary.json")))
    assert (first["inputs"], first["images"], first["explained_now"], first["rows_now"]) == (6, 6, 6, 12)
    assert (second["done_before"], second["explained_now"]) == (6, 0)
    assert first["fingerprint"] == second["fingerprint"]
    assert first["step_seconds"].keys() == {"fetch", "decode", "compute", "statistics", "encode", "write"}
    assert rows_of(output) == rows
    assert len(list(output.glob("models/*"))) == 1


def test_a_nested_fine_tuned_model_is_explained_inside_its_base(tmp_path):
    keras.utils.set_random_seed(7)
    base = keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.35, include_top=False, weights=None)
    for layer in base.layers:  # fresh statistics would let the signal die out on its way through the layers
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(0.5 * layer.moving_variance)
            layer.beta.assign(tf.random.normal(layer.beta.shape, stddev=0.2, seed=3))
    inputs = keras.Input((96, 96, 3))
    x = keras.layers.RandomFlip()(inputs)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = keras.layers.GlobalAveragePooling2D()(base(x))
    outputs = keras.layers.Dense(3, activation="softmax", name="kinds")(keras.layers.Dropout(0.5)(x))
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    photos = [ref.uri for ref in read_manifest(Manifest("bundled:photos"), Storage())]
    lines = "".join(f"{uri},{i % 3},site-{i}\n" for i, uri in enumerate(photos))
    (tmp_path / "photos.csv").write_text(f"uri,label,site\n{lines}missing.jpg,0,site-9\n")
    config = Config.model_validate(
        {
            "input": {"manifest": str(tmp_path / "photos.csv")},
            "model": {"source": str(tmp_path / "model.keras"), "class_names": ["cat", "cup", "other"]},
            "explain": {"targets": ["cat", 2]},
            "overlays": {"policy": "none"},
            "output": {"path": str(tmp_path / "out")},
        }
    )
    assert launch(config, [], CONSOLE) == 1  # one photo is missing, and none may fail by default
    rows = rows_of(tmp_path / "out")
    assert rows.pop("missing.jpg-None")["error_type"] == "FileNotFoundError"
    assert len(rows) == 2 * len(photos)
    card = json.loads(next((tmp_path / "out").glob("models/*/explanation.json")).read_text())
    assert card["target_layer"].endswith("out_relu")
    features = keras.Model(base.inputs[0], base.output)
    for row in rows.values():
        resized = model_input(row["uri"], 96).astype(np.float32) / 127.5 - 1
        cam, score = tape_gradcam(features, model.get_layer("kinds"), resized, row["target_index"])
        assert row["target_score"] == pytest.approx(score, abs=1e-4)
        assert row["cam_max"] == pytest.approx(cam.max(), abs=1e-4 * float(abs(cam).max()))
        assert row["site"].startswith("site-")
        assert row["is_correct"] == (row["predicted_index"] == row["label_index"])
        assert row["overlay_uri"] is None
