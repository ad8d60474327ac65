"""What a model says of how photos come to its size: Resizing layers of Keras 3 and tf_keras, KerasHub's converter."""

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers

from transforms.model.choose_sampling import choose_sampling
from transforms.model.errors import ModelRefused
from transforms.model.load.loaders import load_live
from transforms.model.load.resizing_layers import resizing_of
from transforms.model.load.tracing import trace_keras_model
from transforms.model.options import ModelOptions
from transforms.model.plan.plan import make_plan
from transforms.sampling import Sampling
from transforms.storage.storage import Storage


def head(x, library=layers):
    x = library.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    return library.Dense(3, activation="softmax")(library.GlobalAveragePooling2D()(x))


def functional(*in_front, shape=(None, None, 3), library=keras):
    image = library.Input(shape)
    x = image
    for layer in in_front:
        x = layer(x)
    return library.Model(image, head(x, library.layers))


def sequential(*in_front, shape=(None, None, 3)):
    ends = [layers.Conv2D(4, 3, strides=2), layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    return keras.Sequential([layers.Input(shape), *in_front, *ends])


RESIZINGS = [
    (layers.Resizing(48, 64), Sampling("stretch", "bilinear", False)),
    (layers.Resizing(48, 64, "bicubic", antialias=True), Sampling("stretch", "bicubic", True)),
    (layers.Resizing(48, 64, "nearest"), Sampling("stretch", "nearest", False)),
    (layers.Resizing(48, 64, crop_to_aspect_ratio=True), Sampling("crop", "bilinear", False)),
    (
        layers.Resizing(48, 64, pad_to_aspect_ratio=True, fill_value=114.0),
        Sampling("pad", "bilinear", False, pad_color=(114, 114, 114)),
    ),
]


@pytest.mark.parametrize(("layer", "sampling"), RESIZINGS)
@pytest.mark.parametrize("build", [functional, sequential])
def test_a_layer_at_a_free_input_gives_size_and_sampling(build, layer, sampling):
    traced = trace_keras_model(build(type(layer).from_config(layer.get_config())), "auto")
    assert traced.function.inputs[0].shape.as_list() == [None, 48, 64, 3]
    assert traced.resizing is not None
    assert traced.resizing.sampling == sampling
    assert traced.resizing.origin == f"its layer {layer.name}"


@pytest.mark.parametrize(
    "in_front",
    [
        [layers.Rescaling(1 / 255), layers.Resizing(48, 64)],
        [layers.RandomFlip(), layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 5, 6]), layers.Resizing(48, 64)],
        [keras.Sequential([layers.RandomFlip(), layers.Resizing(48, 64), layers.Rescaling(1 / 255)])],
        [keras.Sequential([layers.RandomFlip()]), layers.Resizing(48, 64)],
    ],
)
def test_it_is_found_behind_what_treats_all_pixels_alike_and_in_nested_models(in_front):
    found = resizing_of(functional(*in_front))
    assert found is not None
    assert (found.height, found.width, found.sampling) == (48, 64, Sampling("stretch", "bilinear", False))


def test_it_is_found_in_a_file_and_in_models_of_keras_2(tmp_path):
    functional(layers.Resizing(48, 64, "lanczos3")).save(tmp_path / "model.keras")
    found = resizing_of(keras.models.load_model(tmp_path / "model.keras"))
    assert found is not None
    assert found.sampling == Sampling("stretch", "lanczos3", False)
    old = functional(tf_keras.layers.Resizing(48, 64, "bicubic", crop_to_aspect_ratio=True), library=tf_keras)
    found = resizing_of(old)
    assert found is not None
    assert found.sampling == Sampling("crop", "bicubic", False)
    assert trace_keras_model(old, "auto").function.inputs[0].shape.as_list() == [None, 48, 64, 3]


def branched():
    image = keras.Input((None, None, 3))
    small, large = layers.Resizing(32, 32)(image), layers.Resizing(64, 64)(image)
    return keras.Model(image, layers.Concatenate()([head(small), head(large)]))


@pytest.mark.parametrize(
    "model",
    [
        branched(),  # which of the two?
        functional(layers.Conv2D(3, 3), layers.Resizing(48, 64)),  # a feature map is resized, not the photo
        functional(
            layers.Rescaling(1 / 255), layers.Resizing(48, 64, pad_to_aspect_ratio=True)
        ),  # bars of which colour?
        functional(tf_keras.layers.Resizing(48, 64, "mitchellcubic"), library=tf_keras),  # a filter that is not here
    ],
)
def test_what_is_not_certain_is_not_taken(model):
    assert resizing_of(model) is None
    with pytest.raises(ModelRefused, match="images of any size"):
        trace_keras_model(model, "auto")


def test_a_layer_behind_an_input_of_fixed_size_says_nothing_of_photos():
    traced = trace_keras_model(functional(layers.Resizing(48, 64), shape=(100, 100, 3)), "auto")
    assert traced.function.inputs[0].shape.as_list() == [None, 100, 100, 3]
    assert traced.resizing is None


def test_another_size_that_the_user_says_is_obeyed():
    traced = trace_keras_model(functional(layers.Resizing(48, 64)), (96, 96))
    assert traced.function.inputs[0].shape.as_list() == [None, 96, 96, 3]
    assert traced.resizing is None


class Converter:
    """What is asked of keras_hub.layers.ImageConverter, which is not installed: its Keras layer ``resizing``."""

    def __init__(self):
        self.resizing = layers.Resizing(48, 64, "bicubic", antialias=True, crop_to_aspect_ratio=True)


class ImageClassifierPreprocessor:
    image_converter = Converter()


def test_the_converter_of_a_keras_hub_task_counts():
    model = functional()
    model.preprocessor = ImageClassifierPreprocessor()
    traced = trace_keras_model(model, "auto")
    assert traced.function.inputs[0].shape.as_list() == [None, 48, 64, 3]
    assert traced.resizing is not None
    assert traced.resizing.sampling == Sampling("crop", "bicubic", True)
    assert traced.resizing.origin == "the image converter of its ImageClassifierPreprocessor"


def test_the_layer_in_the_graph_leaves_what_it_is_given_as_it_is():
    model = sequential(layers.Resizing(48, 64, "bicubic"), layers.Rescaling(1 / 255))
    options = ModelOptions("a test", preprocessing="none")
    plan = make_plan(load_live(model, options, Storage()), options)
    assert (plan.input_height, plan.input_width, plan.sampling) == (48, 64, Sampling("stretch", "bicubic", False))
    assert any("photos are resized as its layer" in note for note in plan.notes)
    photo = np.random.default_rng(0).uniform(0, 255, (1, 48, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(model.layers[0](photo), photo, atol=1e-4)
    assert choose_sampling(ModelOptions("a test", interpolation="area"), None)[0] == Sampling()
