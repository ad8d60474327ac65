"""TF Hub modules of both formats, alone and as a layer, give the scores that they gave before."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras
from source_models import CLASSES, images, shake, tiny_base
from test_load_savedmodel import write_tf1

from transforms.model.errors import ModelRefused
from transforms.model.load import load_model
from transforms.model.options import ModelOptions

UNIT = images() / 255


def load(source, **options):
    return load_model(ModelOptions(str(source), **options), {})


def scores_of(traced, pixels):
    return traced.function(tf.constant(pixels))[0].numpy()


def feature_module(path, size=32):
    """A TF2 feature-vector module with training argument, as Hub has them. Returns the Keras model inside."""
    base = tiny_base(tf_keras, size)
    pooled = tf_keras.layers.GlobalAveragePooling2D()(base.output)
    model = tf_keras.Model(base.input, pooled, name="features")
    model.save(path, save_format="tf")
    return model


def classifier_module(path):
    base = tiny_base(tf_keras)
    pooled = tf_keras.layers.GlobalAveragePooling2D()(base.output)
    model = tf_keras.Model(base.input, tf_keras.layers.Dense(CLASSES)(pooled))
    model.save(path, save_format="tf")
    return model


def write_tf1_hub(path):
    wanted = write_tf1(path, tag_sets=((), ("train",)), signature="default")
    (path / "tfhub_module.pb").write_bytes(b"\x08\x03")  # ModuleDef(format=FORMAT_V3)
    return wanted


def test_a_tf2_classifier(tmp_path):
    model = classifier_module(tmp_path / "m")
    traced = load(f"hub:{tmp_path}/m")
    np.testing.assert_allclose(scores_of(traced, UNIT), model(UNIT, training=False), rtol=1e-5, atol=1e-5)
    assert traced.preprocessing.name == "unit"
    assert traced.class_names is None
    assert traced.notes == ("the module is given pixels of 0..1, the convention of TF Hub",)


def test_a_tf1_module(tmp_path):
    wanted = write_tf1_hub(tmp_path / "m")
    traced = load(f"hub:{tmp_path}/m", preprocessing="none")
    assert traced.outputs == ("default",)
    np.testing.assert_allclose(scores_of(traced, images()), wanted, rtol=1e-5, atol=1e-6)
    assert load(f"hub:{tmp_path}/m", output="default").outputs == ("default", "features")


@pytest.mark.parametrize("reshaped", [False, True])
def test_a_feature_vector_is_refused_with_what_does_work(tmp_path, reshaped):
    model = feature_module(tmp_path / "m")
    if reshaped:
        flat = tf_keras.layers.Reshape((8,))(tf_keras.layers.Reshape((1, 1, 8))(model.output))
        tf_keras.Model(model.input, flat).save(tmp_path / "m", save_format="tf")
    with pytest.raises(
        ModelRefused, match=r"feature vectors of 8 numbers, not class scores.*train a head on top.*Dense"
    ):
        load(f"hub:{tmp_path}/m")
    assert load(f"hub:{tmp_path}/m", output="output_0").function.outputs[0].shape[-1] == 8


def test_an_average_of_class_scores_is_not_taken_for_features(tmp_path):
    base = tiny_base(tf_keras)
    scores = tf_keras.layers.Conv2D(CLASSES, 1)(base.output)
    model = tf_keras.Model(base.input, tf_keras.layers.GlobalAveragePooling2D()(scores))
    model.save(tmp_path / "m", save_format="tf")
    np.testing.assert_allclose(scores_of(load(f"hub:{tmp_path}/m"), UNIT), model(UNIT), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["keras", "h5", "saved_model"])
@pytest.mark.parametrize("trainable", [False, True], ids=["frozen", "trainable"])
def test_a_hub_layer_with_a_head_in_every_form(tmp_path, form, trainable):
    feature_module(tmp_path / "module")
    layer = hub.KerasLayer(str(tmp_path / "module"), trainable=trainable, input_shape=(32, 32, 3), name="extractor")
    model = tf_keras.Sequential([layer, tf_keras.layers.Dense(CLASSES, activation="softmax", name="scores")])
    shake(model.layers[-1])
    path = tmp_path / {"keras": "m.keras", "h5": "m.h5", "saved_model": "m"}[form]
    model.save(path)
    traced = load(path)
    np.testing.assert_allclose(scores_of(traced, UNIT), model(UNIT, training=False), rtol=1e-5, atol=1e-6)
    if form != "saved_model":
        assert set(traced.layer_tensors) == {"extractor", "scores"}
        assert traced.preprocessing.name == "unit"
        assert "the convention of TF Hub" in traced.notes[0]


def test_a_tf1_module_as_a_layer(tmp_path):
    write_tf1_hub(tmp_path / "module")
    layer = hub.KerasLayer(str(tmp_path / "module"), output_key="features", input_shape=(32, 32, 3))
    pool, scores = tf_keras.layers.GlobalAveragePooling2D(), tf_keras.layers.Dense(CLASSES)
    model = tf_keras.Sequential([layer, pool, scores])
    model.save(tmp_path / "m.keras")
    np.testing.assert_allclose(scores_of(load(tmp_path / "m.keras"), UNIT), model(UNIT), rtol=1e-5, atol=1e-6)


def test_a_hub_layer_whose_module_is_gone(tmp_path):
    feature_module(tmp_path / "module")
    layer = hub.KerasLayer(str(tmp_path / "module"), input_shape=(32, 32, 3))
    tf_keras.Sequential([layer, tf_keras.layers.Dense(2)]).save(tmp_path / "m.keras")
    (tmp_path / "module").rename(tmp_path / "elsewhere")
    with pytest.raises(ModelRefused, match=r"m\.keras needs the TF Hub module .*module.* trained as a SavedModel"):
        load(tmp_path / "m.keras")


def test_handles_that_cannot_be_found(tmp_path):
    with pytest.raises(ModelRefused, match="there is no model at /nowhere/module"):
        load("hub:/nowhere/module")
    with pytest.raises(ModelRefused, match=r"cannot be downloaded .*unpack the module into a directory"):
        load("hub:http://localhost:9/google/module/1")
