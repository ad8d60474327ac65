"""From every source the same maps: each agrees with a float32 GradientTape on the original Keras model.

Largest relative error allowed: 1e-4 of the largest value of the map.
"""

import subprocess
import sys

import keras
import numpy as np
import plain_module
import pytest
import small_models
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras
from plain_module import CLASSES
from source_models import LIBRARIES, fine_tuned, gradcam, shake, tiny_base, write_tf1

from transforms.model.load.loaders import load_model
from transforms.model.options import ModelOptions
from transforms.model.plan.plan import make_plan
from transforms.storage.storage import Storage

TOLERANCE = 1e-4
PIXELS = np.random.default_rng(11).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
TARGET = 2


def check(options, reference, probabilities, layer=None):
    """Explain from a source and compare with the original; the target layer must be the base's output.

    Args:
        reference: rescaling, base, head: functions from pixels to the input of the base, features and logits.
        probabilities: [B, C] of the original model.
    """
    plan = make_plan(load_model(options, Storage()), options)
    result = small_models.explained(plan, PIXELS, [[TARGET]] * len(PIXELS))
    expected = gradcam(*reference, PIXELS.astype(np.float32), TARGET)
    assert small_models.relative_error(result["cams"][:, 0], expected) <= TOLERANCE
    np.testing.assert_allclose(result["probabilities"], probabilities, rtol=1e-4, atol=1e-6)
    if layer is not None:
        assert plan.target.name == layer


def parts_of(model):
    """The reference for ``fine_tuned``."""
    scores, pool = model.get_layer("scores"), model.get_layer("pool")
    logits = lambda features: tf.matmul(pool(features), scores.kernel) + scores.bias  # noqa: E731
    return model.get_layer("rescaling"), model.get_layer("tiny_base"), logits


def probabilities_of(model):
    return model(PIXELS.astype(np.float32), training=False)


@pytest.mark.parametrize("file", ["keras m.keras", "keras m.h5", "tf_keras m.keras", "tf_keras m.h5"])
def test_keras_files(tmp_path, file):
    library, name = file.split()
    model = fine_tuned(LIBRARIES[library])
    model.save(tmp_path / name)
    options = ModelOptions(str(tmp_path / name))
    check(options, parts_of(model), probabilities_of(model), layer="tiny_base/base_out")


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_logits_and_sigmoids(tmp_path, activation):
    model = fine_tuned(keras, activation=activation)
    model.save(tmp_path / "m.keras")
    logits = fine_tuned(keras, activation=None)
    raw = logits(PIXELS.astype(np.float32), training=False)
    wanted = tf.nn.softmax(raw) if activation is None else tf.sigmoid(raw)
    kind = "auto" if activation is None else "multi_label"
    check(ModelOptions(str(tmp_path / "m.keras"), output_kind=kind), parts_of(model), wanted)


@pytest.mark.parametrize("library", LIBRARIES)
def test_saved_models_of_keras(tmp_path, library):
    model = fine_tuned(LIBRARIES[library], augmented=library == "tf_keras")
    if library == "keras":
        model.export(tmp_path / "m", verbose=False)
    else:
        model.save(tmp_path / "m", save_format="tf")
    check(ModelOptions(str(tmp_path / "m")), parts_of(model), probabilities_of(model))


def test_a_plain_module_of_any_size(tmp_path):
    model = fine_tuned(keras, base=tiny_base(keras, size=None), size=None, augmented=False)
    spec = tf.TensorSpec([None, None, None, 3], tf.float32)
    function = tf.function(lambda images: model(images, training=False), input_signature=[spec])
    module = tf.Module()
    module.model, module.function = model, function
    tf.saved_model.save(module, tmp_path / "m", signatures=function)
    check(ModelOptions(str(tmp_path / "m"), input_size=(32, 32)), parts_of(model), probabilities_of(model))


@pytest.mark.slow
def test_a_model_saved_by_another_process(tmp_path):
    subprocess.run([sys.executable, plain_module.__file__, tmp_path], check=True, timeout=100)
    options = ModelOptions(str(tmp_path / "m"))
    plan = make_plan(load_model(options, Storage()), options)
    pixels = plain_module.images().astype(np.uint8)
    result = small_models.explained(plan, pixels, [[TARGET]] * len(pixels))
    assert small_models.relative_error(result["cams"][:, 0], np.load(tmp_path / "cams.npy")) <= TOLERANCE
    np.testing.assert_allclose(result["probabilities"], np.load(tmp_path / "scores.npy"), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("is_module", [False, True], ids=["SavedModel", "Hub"])
@pytest.mark.parametrize("resource", [False, True], ids=["reference variables", "resource variables"])
def test_tf1(tmp_path, is_module, resource):
    form = {"tag_sets": ((),), "signature": "default"} if is_module else {}
    values = write_tf1(tmp_path / "m", resource=resource, images=PIXELS.astype(np.float32), **form)
    if is_module:
        (tmp_path / "m" / "tfhub_module.pb").write_bytes(b"\x08\x03")
    source = f"hub:{tmp_path}/m" if is_module else f"{tmp_path}/m"
    base = lambda x, training: tf.nn.relu(tf.nn.conv2d(x, values["kernel"], 2, "SAME"))  # noqa: E731
    head = lambda features: tf.reduce_mean(features, [1, 2]) @ values["dense"]  # noqa: E731
    options = ModelOptions(source, output="default", preprocessing="none")
    check(options, (lambda x: x / 255.0, base, head), values["scores"])


def unit(pixels):
    return pixels / 255.0


@pytest.fixture(scope="module")
def hub_module(tmp_path_factory):
    """A feature-vector module, and the network inside of it."""
    path = tmp_path_factory.mktemp("hub") / "module"
    base = tiny_base(tf_keras)
    pooled = tf_keras.layers.GlobalAveragePooling2D()(base.output)
    tf_keras.Model(base.input, pooled).save(path, save_format="tf")
    return str(path), base


@pytest.mark.parametrize("form", ["m.keras", "m.h5", "m"])
def test_inside_a_hub_layer(tmp_path, hub_module, form):
    path, base = hub_module
    layer = hub.KerasLayer(path, input_shape=(32, 32, 3), trainable=True)
    dense = tf_keras.layers.Dense(CLASSES, activation="softmax")
    model = tf_keras.Sequential([layer, dense])
    shake(dense)
    model.save(tmp_path / form)
    head = lambda features: tf.reduce_mean(features, [1, 2]) @ dense.kernel + dense.bias  # noqa: E731
    options = ModelOptions(str(tmp_path / form), preprocessing="unit")
    check(options, (unit, base, head), model(unit(PIXELS.astype(np.float32)), training=False))


def test_a_tf2_hub_classifier(tmp_path):
    base = tiny_base(tf_keras)
    dense = tf_keras.layers.Dense(CLASSES)
    model = tf_keras.Model(base.input, dense(tf_keras.layers.GlobalAveragePooling2D()(base.output)))
    model.save(tmp_path / "m", save_format="tf")
    head = lambda features: tf.reduce_mean(features, [1, 2]) @ dense.kernel + dense.bias  # noqa: E731
    wanted = tf.nn.softmax(model(unit(PIXELS.astype(np.float32)), training=False))
    check(ModelOptions(f"hub:{tmp_path}/m"), (unit, base, head), wanted)


def test_a_factory_with_weights(tmp_path, monkeypatch):
    module = "explained_factory"
    (tmp_path / f"{module}.py").write_text(
        "import keras\nfrom source_models import fine_tuned\ndef pets(): return fine_tuned(keras)\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    model = shake(fine_tuned(keras), seed=5)
    model.save_weights(tmp_path / "w.weights.h5")
    options = ModelOptions(f"{module}:pets", weights=str(tmp_path / "w.weights.h5"))
    check(options, parts_of(model), probabilities_of(model), layer="tiny_base/base_out")
    sys.modules.pop(module)


@pytest.mark.parametrize("library", ["keras", pytest.param("tf_keras", marks=pytest.mark.slow)])
def test_an_application_with_weights(tmp_path, library):
    library = LIBRARIES[library]
    base = library.applications.MobileNet(weights=None, include_top=False, input_shape=(64, 64, 3))
    dense = library.layers.Dense(3, activation="softmax")
    model = library.Sequential([base, library.layers.GlobalAveragePooling2D(), dense])
    model.build((None, 64, 64, 3))
    shake(dense)
    model.save_weights(tmp_path / "w.weights.h5")
    options = ModelOptions("keras:MobileNet", weights=str(tmp_path / "w.weights.h5"), input_size=(64, 64))
    plan = make_plan(load_model(options, Storage()), options)
    pixels = np.random.default_rng(3).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    result = small_models.explained(plan, pixels, [[TARGET]] * 2)
    head = lambda features: tf.reduce_mean(features, [1, 2]) @ tf.convert_to_tensor(dense.kernel)  # noqa: E731
    expected = gradcam(lambda x: x / 127.5 - 1.0, base, head, pixels.astype(np.float32), TARGET)
    assert expected.shape[1:] == (2, 2)
    assert small_models.relative_error(result["cams"][:, 0], expected) <= TOLERANCE
