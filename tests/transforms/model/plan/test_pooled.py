"""The embedding against what the Keras model itself gives its last layer, a model of each kind."""

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
import transformers
from keras import layers
from small_models import explained, planned, traced_function

IMAGES = small_models.images(3)
CLOSE = 1e-3  # of float16: what is stored of it


def read_by(model: keras.Model, layer: str) -> np.ndarray:
    """What a layer of the model is given, float16, by Keras alone; [n, D], or a map's mean over its cells."""
    images = small_models.images(3) if model.input_shape[1:3] == (32, 32) else wide_images()
    before = keras.Model(model.inputs[0], model.get_layer(layer).input)
    given = np.array(before(images.astype(np.float32), training=False))
    return (given.mean(axis=(1, 2)) if given.ndim == 4 else given).astype(np.float16)


def wide_images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 32, 48, 3)).astype(np.uint8)


def embedding(model, images=IMAGES, **options) -> tuple[np.ndarray, object]:
    plan = planned(model, **options)
    result = explained(plan, images, [[-1]] * len(images))["embedding"]
    assert result.dtype == np.float32
    assert result.shape == (len(images), plan.embedding_size)
    return result.astype(np.float16), plan


def hidden_layer() -> keras.Model:
    """As VGG: the map is flattened, and a hidden layer lies between it and the classes; logits are scaled."""
    inputs = keras.Input((32, 32, 3))
    x = layers.MaxPooling2D()(layers.Conv2D(6, 3, strides=4, activation="relu")(layers.Rescaling(1 / 255)(inputs)))
    x = layers.Dense(12, activation="relu", name="hidden")(layers.Flatten()(x))
    x = layers.Dense(5, name="scores")(layers.Dropout(0.5)(x))
    return keras.Model(inputs, layers.Softmax()(layers.BatchNormalization()(x)))


def convolution_to_classes() -> keras.Model:
    """As SqueezeNet: the last convolution makes a map for each class, whose means are the scores."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=4, activation="relu", name="map")(layers.Rescaling(1 / 255)(inputs))
    maps = layers.Conv2D(5, 1, name="scores")(x)
    return keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(maps)))


@pytest.mark.parametrize("make", [
    small_models.convolutional,
    lambda: small_models.convolutional(activation="sigmoid", classes=1),
    hidden_layer,
    convolution_to_classes,
], ids=["pooled", "one unit", "hidden layer", "maps of classes"])  # fmt: skip
def test_the_embedding_is_what_the_last_layer_reads(make):
    model = make()
    found, plan = embedding(model)
    expected = read_by(model, "scores")
    assert plan.pooled is not None
    np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CLOSE * np.abs(expected).max())


@pytest.mark.parametrize("head", ["class", "mean", "max"])
def test_of_a_transformer_it_is_the_token_or_the_mean_of_tokens_that_the_head_reads(head):
    model = transformers.vit(head, prefix=1)
    found, plan = embedding(model, wide_images())
    assert plan.embedding_size == 16
    expected = read_by(model, "scores")
    np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CLOSE * np.abs(expected).max())


def test_a_flattened_map_is_averaged_over_its_cells():
    model = small_models.convolutional(pooled=False)
    found, plan = embedding(model)
    features = keras.Sequential(model.layers[:-2])(IMAGES.astype(np.float32), training=False)
    assert plan.pooled.size == 16
    assert plan.pooled.cells == (1, 2)
    np.testing.assert_allclose(found, np.array(features).mean(axis=(1, 2)).astype(np.float16), rtol=2e-3, atol=CLOSE)


def test_where_several_layers_make_the_scores_it_is_the_mean_of_the_target_layer():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=4, activation="relu", name="features")(layers.Rescaling(1 / 255)(inputs))
    pooled = layers.GlobalAveragePooling2D()(x)
    scores = layers.Add()([layers.Dense(5)(pooled), layers.Dense(5)(layers.GlobalMaxPooling2D()(x))])
    model = keras.Model(inputs, layers.Softmax()(scores))
    found, plan = embedding(model)
    assert plan.pooled is None
    expected = np.array(keras.Model(inputs, pooled)(IMAGES.astype(np.float32), training=False))
    np.testing.assert_allclose(found, expected.astype(np.float16), rtol=CLOSE, atol=CLOSE * expected.max())


def test_the_target_layer_that_the_user_asks_for_does_not_change_it():
    model = small_models.convolutional()
    np.testing.assert_array_equal(embedding(model)[0], embedding(model, target_layer="conv_relu")[0])


@pytest.mark.parametrize("ending", ["means", "flattened", "flattened, channels first"])
def test_of_a_plain_function_it_is_the_mean_of_each_channel(ending):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 4, 3, 6)).astype(np.float32)
    weights = rng.normal(size=(6 if ending == "means" else 6 * 64, 5)).astype(np.float32)

    def run(images):
        x = tf.nn.relu(tf.nn.conv2d(images / 255, tf.constant(kernel), 4, "VALID"))
        if ending == "means":
            x = tf.reduce_mean(x, [1, 2])
        else:
            x = tf.reshape(tf.transpose(x, [0, 3, 1, 2]) if "first" in ending else x, [-1, 6 * 64])
        return tf.nn.softmax(x @ tf.constant(weights))

    found, plan = embedding(traced_function(run))
    x = np.maximum(np.array(tf.nn.conv2d(IMAGES / np.float32(255), kernel, 4, "VALID")), 0).mean(axis=(1, 2))
    assert plan.pooled.size == 6
    assert plan.pooled.cells == {"means": (), "flattened": (1, 2), "flattened, channels first": (2, 3)}[ending]
    np.testing.assert_allclose(found, x.astype(np.float16), rtol=2e-3, atol=CLOSE)
