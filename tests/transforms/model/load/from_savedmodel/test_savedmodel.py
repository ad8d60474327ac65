"""SavedModels of TF2 and TF1, from Keras and from plain modules, give the scores that they gave before."""

import fsspec
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from plain_module import CLASSES, SPEC, Plain, images
from source_models import fine_tuned, write_tf1

from transforms.model.errors import ModelRefused
from transforms.model.load.loaders import load_model
from transforms.model.options import ModelOptions
from transforms.model.plan.plan import make_plan
from transforms.storage.storage import Storage

ANY_SIZE = tf.TensorSpec([None, None, None, 3], tf.float32, name="photo")
IMAGES = images()


def load(source, **options):
    return load_model(ModelOptions(str(source), **options), Storage())


def scores_of(traced, pixels):
    return traced.function(tf.cast(pixels, traced.function.inputs[0].dtype))[0].numpy()


def test_keras_export(tmp_path):
    model = fine_tuned(keras, augmented=False)
    model.export(tmp_path / "m", verbose=False)
    traced = load(tmp_path / "m")
    np.testing.assert_allclose(scores_of(traced, images()), model(images(), training=False), rtol=1e-5, atol=1e-6)
    assert traced.outputs == ("output_0",)
    assert traced.function.inputs[0].shape.as_list() == [None, 32, 32, 3]
    assert "it is given 0..255" in traced.notes[0]


def test_keras_export_leaves_augmentation_on_which_is_refused(tmp_path):
    fine_tuned(keras).export(tmp_path / "m", verbose=False)
    options = ModelOptions(str(tmp_path / "m"))
    with pytest.raises(ModelRefused, match=r"random numbers .*training=False"):
        make_plan(load_model(options, Storage()), options)


def test_tf_keras_saved_model_from_a_store(tmp_path):
    model = fine_tuned(tf_keras)
    model.save(tmp_path / "m", save_format="tf")
    fsspec.filesystem("memory").put(str(tmp_path / "m"), "/savedmodels/tf_keras", recursive=True)
    traced = load("memory://savedmodels/tf_keras")
    np.testing.assert_allclose(scores_of(traced, images()), model(images(), training=False), rtol=1e-5, atol=1e-6)
    assert traced.outputs == ("scores",)


@pytest.mark.parametrize("source", ["m", "m/", "m/saved_model.pb"])
def test_a_plain_module_with_a_default_signature(tmp_path, source):
    module = Plain()
    tf.saved_model.save(module, tmp_path / "m", signatures=module.__call__.get_concrete_function(SPEC))
    traced = load(f"{tmp_path}/{source}")
    np.testing.assert_allclose(scores_of(traced, images()), module(images()), rtol=1e-5, atol=1e-6)


def test_a_module_without_signatures_is_called_in_inference_mode(tmp_path):
    module = Plain()
    for training in (True, False):
        module.__call__.get_concrete_function(SPEC, training=training)
    tf.saved_model.save(module, tmp_path / "m", signatures={})
    traced = load(tmp_path / "m")
    np.testing.assert_allclose(scores_of(traced, images()), module(images()), rtol=1e-5, atol=1e-6)
    library = traced.function.graph.as_graph_def().library
    assert not [n for f in library.function for n in f.node_def if "Random" in n.op]


def test_an_unknown_size_is_settled_by_the_user(tmp_path):
    module = Plain()
    tf.saved_model.save(module, tmp_path / "m", signatures=module.__call__.get_concrete_function(ANY_SIZE))
    with pytest.raises(ModelRefused, match=r"images of any size, \[any, any, any, 3\]: say .* model.input_size"):
        load(tmp_path / "m")
    traced = load(tmp_path / "m", input_size=(32, 32))
    assert traced.function.inputs[0].shape.as_list() == [None, 32, 32, 3]
    np.testing.assert_allclose(scores_of(traced, images()), module(images()), rtol=1e-5, atol=1e-6)


def test_a_size_that_the_graph_cannot_take_is_refused(tmp_path):
    module = Plain()
    wide = tf.function(lambda photo: tf.ensure_shape(module(photo), [None, CLASSES]), input_signature=[ANY_SIZE])
    fixed = tf.TensorSpec([None, 32, None, 3], tf.float32, name="photo")
    holder = tf.Module()
    holder.module = module
    tf.saved_model.save(holder, tmp_path / "any", signatures=wide)
    tf.saved_model.save(
        holder, tmp_path / "m", signatures=tf.function(lambda photo: module(photo), input_signature=[fixed])
    )
    assert load(tmp_path / "any", input_size=(17, 23)).function.inputs[0].shape.as_list() == [None, 17, 23, 3]
    with pytest.raises(ModelRefused, match=r"input_size is 48 x 48 .* takes 32 x any"):
        load(tmp_path / "m", input_size=(48, 48))


def test_signatures_are_chosen_by_name_or_by_what_they_take(tmp_path):
    module = Plain()
    twice = tf.function(lambda photo: {"double": module(photo) * 2.0}, input_signature=[SPEC])
    once = tf.function(lambda photo: {"single": module(photo)}, input_signature=[SPEC])
    strings = module.from_strings

    tf.saved_model.save(module, tmp_path / "both", signatures={"once": once, "twice": twice})
    with pytest.raises(ModelRefused, match=r"several signatures that take images: .*: once, twice"):
        load(tmp_path / "both")
    with pytest.raises(ModelRefused, match=r"has no signature thrice: set model.signature to one of: once\(photo"):
        load(tmp_path / "both", signature="thrice")
    traced = load(tmp_path / "both", signature="twice")
    assert traced.outputs == ("double",)
    np.testing.assert_allclose(scores_of(traced, images()), module(images()) * 2.0, rtol=1e-5, atol=1e-6)

    tf.saved_model.save(module, tmp_path / "default", signatures={"serving_default": once, "twice": twice})
    assert load(tmp_path / "default").outputs == ("single",)

    tf.saved_model.save(module, tmp_path / "mixed", signatures={"serving_default": strings, "twice": twice})
    traced = load(tmp_path / "mixed")
    assert traced.outputs == ("double",)
    assert "the signature twice is explained: serving_default(encoded: string" in traced.notes[0]


def test_encoded_strings_are_refused_with_the_remedy(tmp_path):
    module = Plain()
    tf.saved_model.save(module, tmp_path / "m", signatures=module.from_strings)
    # Tracing from_strings has also traced the module's call for any number of images of unknown content.
    with pytest.raises(ModelRefused, match=r"from_strings|encoded images or other strings") as refused:
        load(tmp_path / "m", signature="serving_default")
    assert "no gradient through decoding" in str(refused.value)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def only_strings(encoded):
        return tf.strings.length(encoded)

    holder = tf.Module()
    holder.only_strings = only_strings
    tf.saved_model.save(holder, tmp_path / "strings", signatures=only_strings)
    with pytest.raises(ModelRefused, match=r"strings.*export the model with a signature of one batch of images"):
        load(tmp_path / "strings")


def test_several_outputs_are_named(tmp_path):
    module = Plain()
    both = tf.function(
        lambda photo: {"scores": module(photo), "features": module.features(photo)}, input_signature=[SPEC]
    )
    tf.saved_model.save(module, tmp_path / "m", signatures=both)
    traced = load(tmp_path / "m", output="scores", class_names=tuple("abcde"))
    assert traced.outputs == ("features", "scores")
    assert [tensor.shape.as_list() for tensor in traced.function.outputs] == [[None, 16, 16, 8], [None, CLASSES]]
    np.testing.assert_allclose(traced.function(tf.constant(images()))[1], module(images()), rtol=1e-5, atol=1e-6)


def test_two_inputs_and_missing_models_are_refused(tmp_path):
    module = Plain()
    spec = tf.TensorSpec([None, 1], tf.float32, name="age")
    two = tf.function(lambda photo, age: module(photo) + age, input_signature=[SPEC, spec])
    holder = tf.Module()
    holder.module = module
    tf.saved_model.save(holder, tmp_path / "m", signatures=two)
    with pytest.raises(ModelRefused, match=r"serving_default\(.*age: float32.*does not take one batch of images"):
        load(tmp_path / "m")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelRefused, match=r"empty is not a model: no saved_model.pb in it"):
        load(tmp_path / "empty")
    (tmp_path / "empty" / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ModelRefused, match=r"empty cannot be loaded by TensorFlow"):
        load(tmp_path / "empty")


@pytest.mark.parametrize("resource", [False, True], ids=["reference variables", "resource variables"])
@pytest.mark.parametrize("tag_sets", [(("serve",),), (("serve",), ("serve", "tpu"))], ids=["one graph", "two graphs"])
def test_tf1_saved_models(tmp_path, resource, tag_sets):
    wanted = write_tf1(tmp_path / "m", tag_sets, resource)
    traced = load(tmp_path / "m", output="default")
    assert traced.outputs == ("default", "features")
    np.testing.assert_allclose(scores_of(traced, images()), wanted["scores"], rtol=1e-5, atol=1e-6)
    assert "it is given 0..255" in traced.notes[0]


@pytest.mark.parametrize("shape", [(None, None, None, 3), None])
def test_tf1_saved_models_of_any_size(tmp_path, shape):
    wanted = write_tf1(tmp_path / "m", shape=shape)
    traced = load(tmp_path / "m", input_size=(32, 32), output="default")
    assert traced.function.outputs[1].shape.as_list() == [None, 16, 16, 8]
    np.testing.assert_allclose(scores_of(traced, images()), wanted["scores"], rtol=1e-5, atol=1e-6)
