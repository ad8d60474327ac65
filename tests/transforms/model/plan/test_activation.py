"""The logits are found behind an activation in whatever operations it is spelled out."""

import numpy as np
import pytest
import small_models
import tensorflow as tf

IMAGES = small_models.images(2)
NOISE = np.random.default_rng(2)
KERNEL = NOISE.normal(0, 0.3, (3, 3, 3, 8)).astype(np.float32)
DENSE = NOISE.normal(0, 0.2, (8, 4)).astype(np.float32)
BIAS = NOISE.normal(0, 1, 4).astype(np.float32)


def features_and_logits(images, units=4):
    features = tf.nn.relu(tf.nn.conv2d(images / 255.0, KERNEL, 4, "SAME"))
    return features, tf.add(tf.reduce_mean(features, [1, 2]) @ DENSE[:, :units], BIAS[:units], name="logits")


def planned(head, units=4, **options):
    traced = small_models.traced_function(lambda images: head(features_and_logits(images, units)[1]))
    return small_models.planned(traced, **options)


def check(head, activation, scores_of=lambda z: z, probabilities_of=tf.nn.softmax, target=1, units=4, **options):
    """The head is taken for that activation, and maps and scores are those of a tape on ``scores_of`` the logits."""
    plan = planned(head, units, **options)
    result = small_models.explained(plan, IMAGES, [[target]] * len(IMAGES))

    def reference(images):
        features, logits = features_and_logits(images, units)
        return features, scores_of(logits)

    expected = small_models.tape_gradcam(reference, IMAGES, target)
    assert plan.scores.activation == activation
    assert small_models.relative_error(result["cams"][:, 0], expected) < 1e-4
    wanted = reference(IMAGES.astype(np.float32))[1]
    np.testing.assert_allclose(result["scores"], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result["probabilities"], probabilities_of(wanted), rtol=1e-4, atol=1e-5)


def total(values):
    return tf.reduce_sum(values, 1, keepdims=True)


SOFTMAXES = {
    "two exponentials": lambda z: tf.exp(z) / total(tf.exp(z)),
    "times the reciprocal": lambda z: tf.exp(z) * (1.0 / total(tf.exp(z))),
    "log-sum-exp": lambda z: tf.exp(z - tf.reduce_logsumexp(z, 1, keepdims=True)),
    "its logarithm": lambda z: z - tf.reduce_logsumexp(z, 1, keepdims=True),
    "in percent": lambda z: tf.nn.softmax(z) * 100.0,
    "with an epsilon": lambda z: tf.nn.softmax(z) + 1e-7,
    "smoothed": lambda z: 0.9 * tf.nn.softmax(z) + 0.1 / 4,
    "with one more axis": lambda z: tf.nn.softmax(z)[:, None],
    "in a branch": lambda z: tf.cond(tf.reduce_sum(z) > 0, lambda: tf.nn.softmax(z), lambda: tf.nn.softmax(z)),
}
SIGMOIDS = {
    "an exponential": lambda z: 1.0 / (1.0 + tf.exp(-z)),
    "a hyperbolic tangent": lambda z: 0.5 * (1.0 + tf.tanh(z / 2.0)),
    "in percent": lambda z: tf.sigmoid(z) * 100.0,
}


@pytest.mark.parametrize("head", SOFTMAXES)
def test_softmax(head):
    scores = planned(SOFTMAXES[head]).scores
    assert (scores.activation, scores.tensor) == ("softmax", "logits:0")


@pytest.mark.parametrize("head", SIGMOIDS)
def test_sigmoid(head):
    scores = planned(SIGMOIDS[head], output_kind="multi_label").scores
    assert (scores.activation, scores.tensor) == ("sigmoid", "logits:0")


def test_maps_are_those_of_the_logits():
    check(SOFTMAXES["in percent"], "softmax")
    check(SIGMOIDS["an exponential"], "sigmoid", probabilities_of=tf.sigmoid, output_kind="multi_label")


def test_the_temperature_stays_with_the_logits():
    check(lambda z: tf.nn.softmax(z / 2.5) * 100.0, "softmax", scores_of=lambda z: z / 2.5)


@pytest.mark.parametrize("target", [0, 1])
def test_both_probabilities_of_one_unit(target):
    check(
        lambda z: tf.concat([1 - tf.sigmoid(z), tf.sigmoid(z)], 1),
        "sigmoid",
        scores_of=lambda z: tf.concat([-z, z], 1),
        probabilities_of=tf.sigmoid,
        target=target,
        units=1,
    )


@pytest.mark.parametrize("head", [tf.tanh, tf.nn.softplus, tf.nn.relu, lambda z: z * 100.0, lambda z: z - 1.0])
def test_what_is_none_stays_as_it_is(head):
    scores = planned(head).scores
    assert (scores.activation, scores.are_probabilities) == ("none", False)
    assert scores.tensor != "logits:0"


PROBABILITIES = {
    "a mean of softmaxes": lambda z: (tf.nn.softmax(z) + tf.nn.softmax(2 * z)) / 2,
    "a part of a softmax": lambda z: tf.nn.softmax(z)[:, 1:],
    "a mean of sigmoids": lambda z: (tf.sigmoid(z) + tf.sigmoid(2 * z)) / 2,
}


@pytest.mark.parametrize("head", PROBABILITIES)
def test_probabilities_without_logits_are_taken_as_they_are(head):
    function = PROBABILITIES[head]
    kind = "multi_label" if head == "a mean of sigmoids" else "auto"
    check(function, "none", scores_of=function, probabilities_of=tf.identity, output_kind=kind)


@pytest.mark.parametrize("target", [0, 1])
def test_one_probability_without_a_logit_is_that_of_class_1(target):
    def head(z):
        return 1 - (tf.sigmoid(z) + tf.sigmoid(2 * z)) / 2

    check(
        head,
        "none",
        scores_of=lambda z: tf.concat([1 - head(z), head(z)], 1),
        probabilities_of=tf.identity,
        target=target,
        units=1,
    )
