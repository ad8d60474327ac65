"""What models expect of pixels, found out: their own scaling in the graph, conventions by the names of layers."""

import inspect
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from model_inputs import preprocessed
from plain_module import images
from source_models import LIBRARIES, tiny_base

from transforms.model.errors import ModelRefused
from transforms.model.load.conventions import convention_of
from transforms.model.load.expected_preprocessing import expected_preprocessing
from transforms.model.load.input_scaling import own_scaling
from transforms.model.load.tracing import trace_keras_model
from transforms.model.preprocessing import NAMED

BOTH = pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)


def behind(library, *front, base=None):
    """A classifier with layers in front of its base."""
    inputs = library.Input((32, 32, 3))
    x = inputs
    for layer in front:
        x = layer(x)
    x = (base or tiny_base(library))(x)
    return library.Model(inputs, library.layers.GlobalAveragePooling2D()(x), name="classifier")


def expected(model, option="auto", kind="keras_file"):
    return expected_preprocessing(option, kind, trace_keras_model(model, "auto"))


@BOTH
def test_scaling_of_every_spelling_is_seen(library):
    layers = library.layers
    normalization = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])
    fronts = {
        "Rescaling": [layers.Rescaling(1 / 255)],
        "behind others": [layers.RandomFlip(), layers.ZeroPadding2D(1), layers.Cropping2D(1), layers.Rescaling(0.1)],
        "Normalization": [normalization],
        "batch norm": [layers.BatchNormalization()],
        "arithmetic": [lambda x: x / 127.5 - 1.0],
        "preprocess_input": [library.applications.mobilenet_v2.preprocess_input],
        "caffe": [library.applications.resnet50.preprocess_input],
        "nested": [library.Sequential([library.Input((32, 32, 3)), layers.Rescaling(1 / 255)])],
        "resized": [layers.Resizing(16, 16), layers.Rescaling(2.0), layers.Resizing(32, 32)],
    }  # fmt: skip
    for name, front in fronts.items():
        preprocessing, notes = expected(behind(library, *front))
        assert preprocessing.name == "none", name
        assert "scales its pixels itself" in notes[0], name


@BOTH
def test_no_scaling_is_seen_where_there_is_none(library):
    layers = library.layers
    for front in (
        [],
        [layers.RandomFlip(), layers.RandomRotation(0.1)],
        [layers.Resizing(32, 32)],
        [layers.ZeroPadding2D(0)],
    ):
        assert own_scaling(trace_keras_model(behind(library, *front), "auto").function) is None
        preprocessing, notes = expected(behind(library, *front))
        assert preprocessing.name == "none"
        assert notes[0].startswith("PREPROCESSING IS NOT KNOWN: the model is given pixels of 0..255")
        assert "model.preprocessing" in notes[0]


@pytest.mark.parametrize("scales", [False, True])
def test_the_luma_that_is_put_in_front_is_no_scaling_of_the_models_own(scales):
    inputs = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 255, name="scaled")(inputs) if scales else inputs
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x)))
    _, (note,) = expected(model)
    assert ("scales its pixels itself" in note and "scaled" in note) if scales else "NOT KNOWN" in note


def test_scaling_inside_and_behind_function_calls_is_seen():
    kernel = tf.Variable(tf.ones([3, 3, 3, 4]))
    halve = tf.function(lambda x: x / 2.0)
    convolve = tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"))
    copy = tf.function(lambda x: tf.identity(x))
    cases = [
        (lambda x: convolve(halve(x)), True),
        (lambda x: convolve(copy(x)) / 2.0, False),
        (lambda x: convolve(copy(x)), False),
        (lambda x: convolve(copy(x) / 2.0), True),
        (lambda x: tf.function(lambda y: convolve(halve(y)))(x), True),
    ]
    for function, scales in cases:
        concrete = tf.function(function).get_concrete_function(tf.TensorSpec([None, 8, 8, 3]))
        assert (own_scaling(concrete) is not None) == scales


@pytest.mark.parametrize("library", [keras, pytest.param(tf_keras, marks=pytest.mark.slow)])
def test_a_base_of_keras_applications_brings_its_convention(library):
    mobilenet = library.applications.MobileNetV2(weights=None, include_top=False, alpha=0.35, input_shape=(32, 32, 3))
    preprocessing, notes = expected(behind(library, base=mobilenet))
    assert preprocessing.name == "minus_one_to_one"
    assert notes == (
        "preprocessing minus_one_to_one is assumed, the convention of MobileNetV2: if the model was trained with "
        "another, say so with model.preprocessing",
    )
    assert expected(behind(library, library.layers.Rescaling(1 / 255), base=mobilenet))[0].name == "none"


def test_what_the_user_says_goes_first():
    model = behind(keras, keras.layers.Rescaling(1 / 255))
    assert expected(model, "caffe") == (NAMED["caffe"], ())
    assert expected(model, {"scale": 1 / 255})[0] == NAMED["unit"]
    with pytest.raises(ModelRefused, match=r"model\.preprocessing 'cafe' is not known"):
        expected(model, "cafe")


def test_conventions_of_names():
    assert convention_of(["sequential", "mobilenetv2_1.00_160", "dense"]) == ("MobileNetV2", "minus_one_to_one")
    assert convention_of(["resnet50v2"]) == ("ResNetV2", "minus_one_to_one")
    assert convention_of(["resnet50"]) == ("ResNet", "caffe")
    assert convention_of(["VGG16"]) == ("VGG", "caffe")
    assert convention_of(["my_resnet50", "conv2d"]) is None
    assert convention_of(["resnet50", "mobilenetv2_1.00_160"]) is None


# The smallest of each family; others differ in their number of layers.
APPLICATIONS = {
    "MobileNet": 32, "MobileNetV2": 32, "MobileNetV3Small": 32, "VGG16": 32, "DenseNet121": 32, "ResNet50": 32,
    "ResNet50V2": 32, "InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71, "NASNetMobile": 32,
    "EfficientNetB0": 32, "EfficientNetV2B0": 32, "EfficientNetV2S": 32, "ConvNeXtTiny": 32,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_conventions_are_those_of_keras_applications(name):
    """Against each family's own preprocess_input, nested and flat."""
    build = getattr(keras.applications, name)
    size = APPLICATIONS[name]
    base = build(weights=None, include_top=False, input_shape=(size, size, 3))
    wanted = sys.modules[build.__module__].preprocess_input(images(size=4).copy())
    inputs = keras.Input((size, size, 3))
    pool = keras.layers.GlobalAveragePooling2D()
    for model in (keras.Model(inputs, pool(base(inputs))), keras.Model(base.input, pool(base.output)), base):
        preprocessing, _ = expected(model)
        np.testing.assert_allclose(preprocessed(images(size=4), preprocessing), wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "ConvNeXtTiny", "EfficientNetV2B0"])
def test_families_that_scale_themselves_can_be_built_without(name):
    build = getattr(keras.applications, name)
    assert "include_preprocessing" in inspect.signature(build).parameters
    base = build(weights=None, include_top=False, input_shape=(32, 32, 3), include_preprocessing=False)
    wanted = {"MobileNetV3Small": "minus_one_to_one", "ConvNeXtTiny": "torch", "EfficientNetV2B0": "none"}
    assert expected(base)[0].name == wanted[name]
