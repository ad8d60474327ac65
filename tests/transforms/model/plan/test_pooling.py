"""Pooling that does something to the features before it averages them: the map is that of the features."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_models import explained, images, planned, relative_error, traced, traced_function

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32) / 100
BIAS = np.random.default_rng(3).normal(size=4).astype(np.float32)
HEAD = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
ATTEND = np.random.default_rng(2).normal(size=(1, 1, 4, 1)).astype(np.float32)
GATE = np.random.default_rng(4).normal(size=(1, 1, 4, 4)).astype(np.float32)


def gem(x, p=3.0):
    return tf.pow(tf.reduce_mean(tf.pow(tf.maximum(x, 1e-6), p), [1, 2]), 1 / p)


def attended(x):
    weights = tf.nn.softmax(tf.reshape(tf.nn.conv2d(x, ATTEND, 1, "SAME"), [-1, 16 * 16]))
    return tf.reduce_sum(x * tf.reshape(weights, [-1, 16, 16, 1]), [1, 2])


def gated(x):
    gate = tf.sigmoid(tf.nn.conv2d(x, GATE, 1, "SAME"))
    return tf.reduce_sum(x * gate, [1, 2]) / tf.reduce_sum(gate, [1, 2])


def log_sum_exp(x, r=4.0):
    return tf.reduce_logsumexp(r * x, [1, 2]) / r


POOLINGS = {
    "GeM": gem,
    "GeM of squares": lambda x: tf.sqrt(tf.reduce_mean(tf.square(x), [1, 2]) + 1e-6),
    "GeM of a clipped map": lambda x: tf.pow(tf.reduce_mean(tf.pow(tf.clip_by_value(x, 1e-6, 1e6), 4.0), [1, 2]), 0.25),
    "GeM over a list of cells": lambda x: tf.reduce_mean(tf.reshape(tf.pow(x + 1e-6, 3.0), [-1, 256, 4]), 1),
    "log-mean-exp": lambda x: tf.math.log(tf.reduce_mean(tf.exp(4 * x), [1, 2])) / 4,
    "log-sum-exp": log_sum_exp,
    "signed square root": lambda x: tf.reduce_mean(tf.sign(x) * tf.sqrt(tf.abs(x) + 1e-3), [1, 2]),
    "signed logarithm": lambda x: tf.reduce_mean(tf.sign(x) * tf.math.log1p(tf.abs(x)), [1, 2]),
    "attention": attended,
    "attention by sigmoids": lambda x: tf.reduce_mean(x * tf.sigmoid(tf.nn.conv2d(x, ATTEND, 1, "SAME")), [1, 2]),
    "attention for each channel": gated,
    "the mean": lambda x: tf.reduce_mean(x, [1, 2]),
    "mean and deviation": lambda x: tf.reduce_mean(x, [1, 2]) + tf.math.reduce_std(x, [1, 2]),
    "mean and maximum": lambda x: tf.reduce_mean(x, [1, 2]) + tf.reduce_max(x, [1, 2]),
}
ACTIVATIONS = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "swish": tf.nn.swish,
    "swish in steps": lambda x: x / (1 + tf.exp(-x)),
    "gelu": tf.nn.gelu,
    "gelu by tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "mish in steps": lambda x: x * tf.tanh(tf.math.log1p(tf.exp(x))),
    "elu in steps": lambda x: tf.where(x > 0, x, tf.exp(tf.minimum(x, 0.0)) - 1),
    "hard swish": lambda x: x * (tf.nn.relu6(x + 3) / 6),
    "tanh": tf.tanh,
    "maximum": lambda x: tf.maximum(x, 0.0),
}


def model(activation, pooling):
    def scores(x):
        features = activation(tf.nn.bias_add(tf.nn.conv2d(x, KERNEL, 2, "SAME"), BIAS))
        features = tf.identity(features, "features")
        return pooling(features) @ HEAD

    return traced_function(scores)


@pytest.mark.parametrize("name", POOLINGS)
def test_the_map_lies_on_the_features_in_front_of_the_pooling(name):
    plan = planned(model(tf.nn.relu, POOLINGS[name]))
    assert plan.target.tensor == "Relu:0"
    got = explained(plan, images(3), [[1], [2], [3]])["cams"][:, 0]
    for image, index, cam in zip(images(3).astype(np.float32), (1, 2, 3), got, strict=True):
        with tf.GradientTape() as tape:
            features = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(image[None], KERNEL, 2, "SAME"), BIAS))
            tape.watch(features)
            score = (POOLINGS[name](features) @ HEAD)[0, index]
        weights = tf.reduce_mean(tape.gradient(score, features), [1, 2], keepdims=True)
        assert relative_error(cam, tf.reduce_sum(weights * features, 3)[0].numpy()) < 1e-4


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("pooling", ["the mean", "GeM", "attention"])
def test_an_activation_belongs_to_its_layer(name, pooling):
    plan = planned(model(ACTIVATIONS[name], POOLINGS[pooling]))
    through = plan.target.tensor
    values = np.random.default_rng(0).normal(0, 2, (1, 16, 16, 4)).astype(np.float32)
    with tf.Graph().as_default():
        images_in, features = tf.graph_util.import_graph_def(plan.flat.graph_def, {}, ["BiasAdd:0", through], name="")
        given = {images_in: values} | {f"{n}:0": w for n, w in plan.flat.weights.items()}
        with tf.compat.v1.Session() as session:
            found = session.run(features, given)
    np.testing.assert_allclose(found, ACTIVATIONS[name](values), rtol=1e-4, atol=1e-5)


def test_a_negative_map_is_not_clamped_before_the_pooling():
    """max(x, epsilon) is a step of GeM where there is no activation before it."""
    assert planned(model(tf.identity, gem)).target.tensor == "BiasAdd:0"


class GeM(layers.Layer):
    """Its power is a weight."""

    def build(self, shape):
        self.p = self.add_weight(shape=(1,), initializer=keras.initializers.Constant(3.0), name="p")

    def call(self, x):
        x = tf.pow(tf.maximum(x, 1e-6), self.p)
        return tf.pow(tf.reduce_mean(x, [1, 2]), 1 / self.p)


def test_a_keras_layer_that_pools_is_told_by_the_name_of_the_layer_before():
    network = keras.Sequential(
        [layers.Input((32, 32, 3)), layers.Conv2D(4, 3, 2, activation="relu", name="conv"), GeM(name="gem"),
         layers.Dense(3)]
    )  # fmt: skip
    plan = planned(traced(network))
    assert plan.target.name == "conv"
    assert re.fullmatch(
        "the last feature map before .*gem.*/Pow:0, which is a step of the pooling behind it", plan.reason
    )


def test_operations_of_keras_that_pool():
    inputs = keras.Input((32, 32, 3))
    features = layers.Conv2D(4, 3, 2, activation="swish", name="conv")(inputs)
    weights = layers.Softmax(axis=(1, 2))(layers.Conv2D(1, 1)(features))
    pooled = keras.ops.sum(features * weights, axis=(1, 2))
    assert planned(traced(keras.Model(inputs, layers.Dense(3)(pooled)))).target.name == "conv"
    powers = keras.ops.power(keras.ops.clip(features, 1e-6, 1e6), 3.0)
    pooled = keras.ops.power(layers.GlobalAveragePooling2D()(powers), 1 / 3)
    assert planned(traced(keras.Model(inputs, layers.Dense(3)(pooled)))).target.name == "conv"


def test_excitation_and_residuals_are_no_pooling():
    inputs = keras.Input((32, 32, 3))
    features = layers.Conv2D(4, 3, 2, activation="relu", name="conv")(inputs)
    squeezed = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(features))
    excited = layers.Multiply(name="excited")([features, squeezed])
    added = layers.Add(name="added")([features, layers.Conv2D(4, 3, padding="same")(features)])
    for last, name in ((excited, "excited"), (added, "added")):
        network = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(last)))
        assert planned(traced(network)).target.name == name


def test_a_layer_with_much_of_the_work_behind_it_is_taken_with_a_note():
    inputs = keras.Input((32, 32, 3))
    stem = layers.Conv2D(4, 3, 2, activation="relu", name="stem")(inputs)
    branches = [layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, name=f"branch_{i}")(stem)) for i in range(2)]
    network = keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(branches)))
    plan = planned(traced(network))
    assert plan.target.name == "stem"
    assert any("of the network's work comes after the target layer, stem" in note for note in plan.notes)
    assert not any("work comes after" in note for note in planned(traced(network), target_layer="stem").notes)
