"""TF Hub modules of both formats, alone and as a layer, give the scores that they gave before."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras
from plain_module import CLASSES, images
from source_models import shake, tiny_base, write_tf1

from transforms.model.errors import ModelRefused
from transforms.model.load.loaders import load_live, load_model
from transforms.model.options import ModelOptions
from transforms.model.plan.plan import make_plan
from transforms.storage.storage import Storage

UNIT = images() / 255


def load(source, **options):
    return load_model(ModelOptions(str(source), **options), Storage())


def scores_of(traced, pixels):
    return traced.function(tf.constant(pixels))[0].numpy()


@pytest.fixture(scope="module")
def feature_module(tmp_path_factory):
    """The path of a TF2 feature-vector module that scales its pixels of 0..1 itself, as many of Hub's do."""
    base = tiny_base(tf_keras)
    inputs = tf_keras.Input((32, 32, 3))
    pooled = tf_keras.layers.GlobalAveragePooling2D()(base(tf_keras.layers.Rescaling(2.0, offset=-1.0)(inputs)))
    flat = tf_keras.layers.Reshape((8,))(tf_keras.layers.Reshape((1, 1, 8))(pooled))
    path = tmp_path_factory.mktemp("hub") / "module"
    tf_keras.Model(inputs, flat).save(path, save_format="tf")
    return path


def write_tf1_hub(path):
    wanted = write_tf1(path, tag_sets=((), ("train",)), signature="default")
    (path / "tfhub_module.pb").write_bytes(b"\x08\x03")  # ModuleDef(format=FORMAT_V3)
    return wanted["scores"]


def test_a_tf1_module(tmp_path):
    wanted = write_tf1_hub(tmp_path / "m")
    traced = load(f"hub:{tmp_path}/m", preprocessing="none")
    assert traced.outputs == ("default",)
    np.testing.assert_allclose(scores_of(traced, images()), wanted, rtol=1e-5, atol=1e-6)
    assert load(f"hub:{tmp_path}/m", output="default").outputs == ("default", "features")


def test_a_feature_vector_is_refused_with_what_does_work(feature_module):
    options = ModelOptions(f"hub:{feature_module}")
    with pytest.raises(ModelRefused, match=r"feature vector of 8 numbers .*Train a head on top.*hub\.KerasLayer"):
        make_plan(load_model(options, Storage()), options)
    traced = load(f"hub:{feature_module}", output="output_0")
    assert traced.function.outputs[0].shape[-1] == 8
    assert traced.preprocessing.name == "unit"
    assert traced.class_names is None
    assert traced.notes == ("the module is given pixels of 0..1, the convention of TF Hub",)


@pytest.mark.parametrize("form", ["m.keras", "m"])
def test_a_hub_layer_is_given_pixels_of_its_own_convention(tmp_path, feature_module, form):
    layer = hub.KerasLayer(str(feature_module), trainable=True, input_shape=(32, 32, 3), name="extractor")
    dense = tf_keras.layers.Dense(CLASSES, activation="softmax", name="scores")
    model = tf_keras.Sequential([layer, dense])
    shake(dense)
    model.save(tmp_path / form)
    traced = load(tmp_path / form)
    np.testing.assert_allclose(scores_of(traced, UNIT), model(UNIT, training=False), rtol=1e-5, atol=1e-6)
    assert traced.preprocessing.name == "unit"
    assert "the convention of TF Hub (hub.KerasLayer extractor)" in traced.notes[0]
    assert set(traced.layer_tensors) == ({"extractor", "scores"} if form == "m.keras" else set())


def test_scaling_in_front_of_a_hub_layer_counts(tmp_path, feature_module):
    layer = hub.KerasLayer(str(feature_module))
    front = tf_keras.layers.Rescaling(1 / 255, input_shape=(32, 32, 3))
    tf_keras.Sequential([front, layer, tf_keras.layers.Dense(CLASSES)]).save(tmp_path / "m.keras")
    assert load(tmp_path / "m.keras").preprocessing.name == "none"


class Signed(tf.Module):
    """A module of the user's own around a Keras model, with one signature."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    @tf.function(input_signature=[tf.TensorSpec([None, 32, 32, 3], tf.float32, "images")])
    def scores(self, images):
        return {"scores": self.model(images)}


@pytest.mark.parametrize("scales", [False, True])
@pytest.mark.parametrize("way", ["save", "export", "signature"])
def test_a_hub_layer_keeps_its_convention_however_it_was_saved(tmp_path, feature_module, way, scales):
    layer = hub.KerasLayer(str(feature_module), name="extractor")
    front = [tf_keras.layers.Rescaling(1 / 255)] if scales else []
    dense = tf_keras.layers.Dense(CLASSES, activation="softmax")
    model = tf_keras.Sequential([tf_keras.Input((32, 32, 3)), *front, layer, dense])
    shake(dense)
    path = tmp_path / "m"
    if way == "save":
        tf.saved_model.save(model, str(path))
    elif way == "export":
        model.export(path)
    else:
        signed = Signed(model)
        tf.saved_model.save(signed, str(path), signatures=signed.scores)
    traced = load(path)
    assert traced.preprocessing.name == ("none" if scales else "unit")
    assert not traced.evidence.is_open
    fed = traced.preprocessing.apply(images())
    np.testing.assert_allclose(
        scores_of(traced, fed), model.predict(images() / (1 if scales else 255), verbose=0), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("own_scaling", [True, False])
def test_a_module_in_a_layer_of_keras_3_keeps_its_convention(tmp_path, own_scaling):
    inputs = tf_keras.Input((32, 32, 3))
    front = tf_keras.layers.Rescaling(2.0, offset=-1.0)(inputs) if own_scaling else inputs
    pooled = tf_keras.layers.GlobalAveragePooling2D()(tiny_base(tf_keras)(front))
    tf_keras.Model(inputs, pooled).save(tmp_path / "module", save_format="tf")
    module = keras.layers.TFSMLayer(str(tmp_path / "module"), call_endpoint="serving_default")
    images_in = keras.Input((32, 32, 3))
    (features,) = module(images_in).values()
    model = keras.Model(images_in, keras.layers.Dense(CLASSES)(features))
    model.export(tmp_path / "exported", verbose=False)
    for traced in (load_live(model, ModelOptions("m"), Storage()), load(tmp_path / "exported")):
        assert traced.preprocessing.name == "unit"
        np.testing.assert_allclose(
            scores_of(traced, traced.preprocessing.apply(images())),
            model.predict(UNIT, verbose=0),
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_signature_that_normalises_image_by_image(tmp_path):
    """As Model Garden exports its classifiers: a loop over the images of integer pixels, cropped and standardised."""
    base = tiny_base(tf_keras)
    mean, deviation = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]

    class Exported(tf.Module):
        def __init__(self):
            super().__init__()
            self.base = base

        def scores(self, pixels):
            def prepared(image):
                return (tf.image.resize(tf.cast(image, tf.float32), [32, 32]) - mean) / deviation

            batch = tf.map_fn(prepared, pixels, fn_output_signature=tf.TensorSpec([32, 32, 3]))
            return {"logits": tf.reduce_mean(self.base(batch), [1, 2])}

    for dtype, kind in ((tf.uint8, "contract"), (tf.float32, "chain")):
        exported = Exported()
        signature = tf.function(
            exported.scores, input_signature=[tf.TensorSpec([None, None, None, 3], dtype, "inputs")]
        )
        tf.saved_model.save(exported, str(tmp_path / dtype.name), signatures=signature)
        traced = load(tmp_path / dtype.name, input_size=(32, 32))
        assert (traced.preprocessing.name, traced.evidence.kind) == ("none", kind)


def test_a_tf1_module_as_a_layer(tmp_path):
    write_tf1_hub(tmp_path / "module")
    layer = hub.KerasLayer(str(tmp_path / "module"), output_key="features", input_shape=(32, 32, 3))
    pool, scores = tf_keras.layers.GlobalAveragePooling2D(), tf_keras.layers.Dense(CLASSES)
    model = tf_keras.Sequential([layer, pool, scores])
    model.save(tmp_path / "m.keras")
    np.testing.assert_allclose(scores_of(load(tmp_path / "m.keras"), UNIT), model(UNIT), rtol=1e-5, atol=1e-6)


def test_a_hub_layer_whose_module_is_gone(tmp_path, feature_module):
    shutil.copytree(feature_module, tmp_path / "module")
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
