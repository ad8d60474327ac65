"""What models expect of pixels, found out: the constants in front of them, conventions by the names of layers."""

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
from transforms.model.load.traced import TracedModel
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
    return expected_preprocessing(option, kind, trace_keras_model(model, "auto"))[:2]


def evidence_of(function, shape=(None, 32, 32, 3)):
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape))
    traced = TracedModel(concrete, ("output_0",), {}, None, None, (), None)
    found = expected_preprocessing("auto", "factory", traced)
    return found.preprocessing.name, found.evidence


@BOTH
def test_the_constants_in_front_say_of_what_range_the_pixels_are(library):
    layers = library.layers
    mean, variance = [123.0, 116.0, 104.0], [3500.0, 3300.0, 3400.0]
    torch_mean, torch_variance = [0.485, 0.456, 0.406], [0.229**2, 0.224**2, 0.225**2]
    fronts = {
        "Rescaling": ("none", [layers.Rescaling(1 / 255)]),
        "by 256": ("none", [layers.Rescaling(1 / 256)]),
        "behind others": ("none", [layers.RandomFlip(), layers.ZeroPadding2D(1), layers.Cropping2D(1),
                                   layers.Rescaling(1 / 127.5, -1)]),
        "Normalization of bytes": ("none", [layers.Normalization(mean=mean, variance=variance)]),
        "arithmetic": ("none", [lambda x: x / 127.5 - 1.0]),
        "preprocess_input": ("none", [library.applications.mobilenet_v2.preprocess_input]),
        "caffe": ("none", [library.applications.resnet50.preprocess_input]),
        "nested": ("none", [library.Sequential([library.Input((32, 32, 3)), layers.Rescaling(1 / 255)])]),
        "resized": ("none", [layers.Resizing(16, 16), layers.Rescaling(1 / 255, -0.5), layers.Resizing(32, 32)]),
        "in two steps": ("none", [layers.Rescaling(1 / 255),
                                  layers.Normalization(mean=torch_mean, variance=torch_variance)]),
        "unit to -1..1": ("unit", [layers.Rescaling(2.0, -1.0)]),
        "unit to bytes to -1..1": ("unit", [layers.Rescaling(255.0), layers.Rescaling(1 / 127.5, -1.0)]),
        "unit to bytes to unit": ("unit", [layers.Rescaling(255.0), layers.Rescaling(1 / 255)]),
        "Lite's own": ("unit", [layers.Normalization(mean=[127 / 255], variance=[(128 / 255) ** 2])]),
        "torch's": ("unit", [layers.Normalization(mean=torch_mean, variance=torch_variance)]),
        "unit, of dark slides": ("unit", [layers.Normalization(mean=[0.2, 0.15, 0.3], variance=[0.03, 0.03, 0.03])]),
        "-1..1 to unit": ("minus_one_to_one", [layers.Rescaling(0.5, 0.5)]),
        "16 bits": ("16-bit", [layers.Rescaling(1 / 65535)]),
        "16 bits to -1..1": ("16-bit", [layers.Rescaling(2 / 65535, -1)]),
    }  # fmt: skip
    for name, (wanted, front) in fronts.items():
        preprocessing, (note,) = expected(behind(library, *front))
        assert preprocessing.name == wanted, name
        assert "the operations in front of the network" in note, name


@BOTH
@pytest.mark.parametrize(("mean", "variance", "wanted"), [(120, 4500, "none"), (0.48, 0.08, "unit")])
def test_a_batch_norm_of_the_image_tells_by_what_it_has_learnt(library, mean, variance, wanted):
    norm = library.layers.BatchNormalization()
    model = behind(library, norm)
    assert expected(model)[0].name == "none"
    assert "NOT KNOWN" in expected(model)[1][0]  # fresh, it changes nothing
    norm.set_weights([np.ones(3), np.zeros(3), np.full(3, mean), np.full(3, variance)])
    preprocessing, (note,) = expected(model)
    assert (preprocessing.name, "NOT KNOWN" in note) == (wanted, False)


@BOTH
def test_nothing_is_concluded_where_the_constants_tell_nothing(library):
    layers = library.layers
    for front in (
        [],
        [layers.RandomFlip(), layers.RandomRotation(0.1)],
        [layers.Resizing(32, 32)],
        [layers.ZeroPadding2D(0)],
        [layers.Rescaling(0.1)],
        [layers.Rescaling(3.0, 7.0)],
        [layers.Normalization(mean=[5.0], variance=[0.01])],
    ):
        preprocessing, notes = expected(behind(library, *front))
        assert preprocessing.name == "none"
        assert notes[0].startswith("PREPROCESSING IS NOT KNOWN")
        assert "is given pixels of 0..255" in notes[0]
        assert "model.preprocessing" in notes[0]


def test_an_image_that_meets_itself_again_says_nothing_of_its_range():
    kernel = tf.random.stateless_normal([3, 3, 3, 3], [1, 2])

    def convolve(x):
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    def scores(x):
        return tf.reduce_mean(convolve(x), [1, 2])

    others = {
        "a skip": lambda x: scores(x + convolve(x)),
        "a dense skip": lambda x: scores(tf.concat([x, convolve(x)], 3)[..., :3]),
        "a gate": lambda x: scores(x * tf.sigmoid(convolve(x))),
        "squeeze and excite": lambda x: scores(x * tf.reduce_mean(x, [1, 2], keepdims=True)),
        "a high-pass": lambda x: scores(x - tf.nn.avg_pool2d(x, 3, 1, "SAME")),
        "its own mean": lambda x: scores((x - tf.reduce_mean(x, [1, 2, 3], keepdims=True)) / 127.5),
        "its own maximum": lambda x: scores(x / tf.reduce_max(x)),
        "two scales": lambda x: scores(x / 255.0) + scores(x / 127.5 - 1.0),
        "standardised": lambda x: scores(tf.image.per_image_standardization(x)),
        "a power": lambda x: scores((x / 255.0) * (x / 255.0)) + scores(x),
    }
    for name, function in others.items():
        found, evidence = evidence_of(function)
        assert (found, evidence.kind) == ("none", "open"), name
    scaled = {
        "a skip": lambda x: scores(x / 255.0 + convolve(x / 255.0)),
        "a gate": lambda x: scores(x / 255.0 * tf.sigmoid(convolve(x / 255.0))),
        "clipped": lambda x: scores(tf.clip_by_value(x / 255.0, 0.0, 1.0)),
        "two convolutions": lambda x: scores(x / 255.0) + scores(tf.nn.relu(convolve(x / 255.0))),
    }
    for name, function in scaled.items():
        found, evidence = evidence_of(function)
        assert (found, evidence.kind) == ("none", "chain"), name


def test_channels_and_layouts_are_followed():
    kernel = tf.random.stateless_normal([3, 3, 3, 3], [1, 2])

    def scores(x):
        return tf.reduce_mean(tf.nn.conv2d(x, kernel, 1, "SAME"), [1, 2])

    means = [103.939, 116.779, 123.68]
    image_mean = np.random.default_rng(0).normal(0, 5, (32, 32, 3)).astype(np.float32) + means

    def split_and_joined(x):
        red, green, blue = tf.split(x, 3, axis=3)
        return tf.concat([blue - means[0], green - means[1], red - means[2]], 3)

    cases = {
        "split and joined": ("none", lambda x: scores(split_and_joined(x))),
        "split and joined, of 0..1": ("unit", lambda x: scores(split_and_joined(x * 255.0))),
        "gathered": ("none", lambda x: scores(tf.gather(x, [2, 1, 0], axis=3) - means)),
        "in the wrong order": (None, lambda x: scores(x - means)),
        "unstacked": ("unit", lambda x: scores(tf.stack([c * 2.0 - 1.0 for c in tf.unstack(x, axis=3)], 3))),
        "a mean image": ("none", lambda x: scores(x[..., ::-1] - image_mean)),
        "channels first in between": (
            "none",
            lambda x: scores(tf.transpose(tf.transpose(x, [0, 3, 1, 2]) / 127.5 - 1.0, [0, 2, 3, 1])),
        ),
        "image by image": ("unit", lambda x: scores(tf.map_fn(lambda image: image * 2.0 - 1.0, x))),
        "image by image, cropped": (
            "none",
            lambda x: scores(
                tf.map_fn(lambda i: tf.image.resize(tf.image.central_crop(i, 0.875), [16, 16]) / 255.0, x)
            ),
        ),
        "image by image, by its own mean": (None, lambda x: scores(tf.map_fn(lambda i: i - tf.reduce_mean(i), x))),
        "inverted": ("none", lambda x: scores(1.0 - x / 255.0)),
    }
    for name, (wanted, function) in cases.items():
        found, evidence = evidence_of(function)
        assert (None if evidence.is_open else found) == wanted, name


@pytest.mark.parametrize("scales", [False, True])
def test_the_luma_that_is_put_in_front_is_no_scaling_of_the_models_own(scales):
    inputs = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 255, name="scaled")(inputs) if scales else inputs
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x)))
    _, (note,) = expected(model)
    assert ("turn 0..255 into 0..1" in note and "scaled" in note) if scales else "NOT KNOWN" in note


def test_scaling_inside_and_behind_function_calls_is_seen():
    kernel = tf.Variable(tf.ones([3, 3, 3, 4]))
    scale = tf.function(lambda x: x / 255.0)
    convolve = tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"))
    copy = tf.function(lambda x: tf.identity(x))
    cases = [
        (lambda x: convolve(scale(x)), True),
        (lambda x: convolve(copy(x)) / 2.0, False),
        (lambda x: convolve(copy(x)), False),
        (lambda x: convolve(copy(x) / 255.0), True),
        (lambda x: tf.function(lambda y: convolve(scale(y)))(x), True),
    ]
    for function, scales in cases:
        _, evidence = evidence_of(function, (None, 8, 8, 3))
        assert evidence.kind == ("chain" if scales else "open")


def test_pixels_that_are_integers_are_those_of_the_picture():
    kernel = tf.random.stateless_normal([3, 3, 3, 3], [1, 2])
    function = tf.function(lambda x: tf.nn.conv2d(tf.cast(x, tf.float32) / 99.0, kernel, 1, "SAME"))
    traced = TracedModel(
        function.get_concrete_function(tf.TensorSpec([None, 8, 8, 3], tf.uint8)), ("s",), {}, None, None, (), None
    )
    found = expected_preprocessing("auto", "savedmodel", traced)
    assert (found.preprocessing.name, found.evidence.kind) == ("none", "contract")


@pytest.mark.parametrize("library", [keras, pytest.param(tf_keras, marks=pytest.mark.slow)])
def test_a_base_of_keras_applications_brings_its_convention(library):
    mobilenet = library.applications.MobileNetV2(weights=None, include_top=False, alpha=0.35, input_shape=(32, 32, 3))
    preprocessing, notes = expected(behind(library, base=mobilenet))
    assert preprocessing.name == "minus_one_to_one"
    assert notes == (
        "preprocessing minus_one_to_one is assumed, the convention of MobileNetV2: if the model was trained with "
        "another, say so with model.preprocessing",
    )
    for front, wanted in (((1 / 127.5, -1.0), "none"), ((2.0, -1.0), "unit"), ((1 / 255, 0.0), "none")):
        preprocessing, (note,) = expected(behind(library, library.layers.Rescaling(*front), base=mobilenet))
        assert preprocessing.name == wanted
        assert ("although MobileNetV2 by itself expects minus_one_to_one" in note) == (front == (1 / 255, 0.0))


def test_what_the_user_says_goes_first():
    model = behind(keras, keras.layers.Rescaling(1 / 255))
    assert expected(model, "none") == (NAMED["none"], ())
    assert expected(model, {"scale": 1 / 255})[0] == NAMED["unit"]
    said, (note,) = expected(model, "caffe")
    assert said == NAMED["caffe"]
    assert note.startswith("model.preprocessing is caffe, where the model tells none: the operations in front")
    silent = behind(keras, keras.layers.Rescaling(1 / 7))
    assert expected(silent, "caffe") == (NAMED["caffe"], ())  # it tells nothing
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
