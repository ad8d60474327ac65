"""The head run again on masked features: against the Keras layers behind the target layer, one image at a time."""

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from small_models import explained, planned, traced

from transforms.model.cam.explainer import Explainer
from transforms.model.cam.methods import METHODS, heatmap
from transforms.model.graph.head import head_behind

IMAGES = small_models.images(3)
TARGETS = [[0, -1, -5], [4, -1, -2], [2, -1, 2]]


def rerun(model, layer, masked):
    """The Keras layers behind a layer, on other activations ``[h, w, C]``; the probabilities."""
    x = masked[None].astype(np.float32)
    for each in model.layers[[known.name for known in model.layers].index(layer) + 1 :]:
        x = each(x, training=False)
    return np.array(x)[0]


def activations_of(model, layer):
    return keras.Model(model.inputs[0], model.get_layer(layer).output)(
        IMAGES.astype(np.float32) / 255, training=False
    ).numpy()


@pytest.mark.parametrize(
    ("pooled", "layer", "method"),
    [(False, "features", method) for method in METHODS]
    + [(True, "features", "gradcam"), (True, "depthwise", "layercam")],
)
def test_probabilities_of_masked_features_are_those_of_the_keras_head(pooled, layer, method):
    model = small_models.convolutional(pooled=pooled)
    result = explained(planned(traced(model, "unit"), target_layer=layer, method=method), IMAGES, TARGETS)
    activations = activations_of(model, layer)
    changes = []
    for i, a in enumerate(activations):
        for k, target in enumerate(result["classes"][i]):
            positive = np.maximum(result["cams"][i, k], 0)
            mask = (positive / positive.max() if positive.max() > 0 else positive)[..., None]
            kept, removed = (rerun(model, layer, a * each)[target] for each in (mask, 1 - mask))
            assert result["kept_probabilities"][i, k] == pytest.approx(kept, rel=1e-3, abs=1e-6)
            assert result["removed_probabilities"][i, k] == pytest.approx(removed, rel=1e-3, abs=1e-6)
            changes.append(abs(result["probabilities"][i, target] - kept))
    assert max(changes) > 1e-3  # masking does something


@pytest.mark.parametrize("batch_of_the_images", [False, True])
def test_a_linear_head_by_hand(batch_of_the_images):
    """Two cells, two channels, a pooled head with the identity: scores 3 and 2, and a map of 4 and 2."""
    image = np.array([[[4, 2, 0], [2, 2, 0]]], np.uint8)[None]

    def model(pixels):
        features = tf.nn.conv2d(pixels, np.eye(3, 2, dtype=np.float32)[None, None], 1, "SAME", name="features")
        means = tf.reduce_mean(features, [1, 2])
        if batch_of_the_images:  # the head reads more than weights, so each class has a run of its own
            means = tf.reshape(means, [tf.shape(pixels)[0], 2])
        return means @ np.eye(2, dtype=np.float32)

    plan = planned(small_models.traced_function(model, (None, 1, 2, 3)))
    result = explained(plan, image, [[0, 1]])
    assert plan.global_mean is not None
    np.testing.assert_allclose(result["cams"][0, 0], [[2, 1]])  # weight 1/2 for channel 0
    # H = (1, 1/2): kept are (4, 2) and (1, 1), whose mean is (2.5, 1.5); removed are (0, 0) and (1, 1): (0.5, 0.5).
    assert result["probabilities"][0, 0] == pytest.approx(1 / (1 + np.exp(2 - 3)))
    assert result["kept_probabilities"][0, 0] == pytest.approx(1 / (1 + np.exp(1.5 - 2.5)))
    assert result["removed_probabilities"][0, 0] == pytest.approx(0.5)
    # Class 1: a map of 1 and 1, so that all is kept and nothing is left.
    assert result["kept_probabilities"][0, 1] == pytest.approx(1 / (1 + np.exp(3 - 2)))
    assert result["removed_probabilities"][0, 1] == pytest.approx(0.5)


def test_a_zero_map_keeps_nothing_and_a_flat_one_everything():
    cams = tf.constant([[[-1.0, 0.0]], [[2.0, 2.0]], [[-3.0, 6.0]]])
    assert heatmap(cams).numpy().tolist() == [[[0, 0]], [[1, 1]], [[0, 1]]]


def test_one_unit_gives_both_classes():
    model = small_models.convolutional(activation="sigmoid", classes=1)
    result = explained(planned(traced(model, "unit")), IMAGES, [[0, 1]] * 3)
    activations = activations_of(model, "features")
    for i, a in enumerate(activations):
        for target in (0, 1):
            positive = np.maximum(result["cams"][i, target], 0)
            unit = rerun(model, "features", a * (positive / (positive.max() or 1))[..., None])[0]
            expected = unit if target else 1 - unit
            assert result["kept_probabilities"][i, target] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_channels_first_is_the_same_as_channels_last():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32) / 50
    dense = np.random.default_rng(1).normal(size=(4 * 16 * 16, 5)).astype(np.float32) / 10

    def first(images):
        features = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME", data_format="NCHW"))
        return tf.reshape(tf.transpose(features, [0, 2, 3, 1]), [-1, dense.shape[0]]) @ dense

    def last(images):
        features = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))
        return tf.reshape(features, [-1, dense.shape[0]]) @ dense

    results = [
        explained(planned(small_models.traced_function(model, shape)), IMAGES, TARGETS)
        for model, shape in ((first, (None, 3, 32, 32)), (last, (None, 32, 32, 3)))
    ]
    for name in ("cams", "kept_probabilities", "removed_probabilities"):
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-3, atol=1e-5)
    assert results[0]["kept_probabilities"].std() > 0.01


def test_half_precision_is_as_exact_as_the_model():
    model = small_models.convolutional()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = small_models.convolutional()
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())
    results = [explained(planned(traced(each, "unit")), IMAGES, [[0, 1, 2]] * 3) for each in (half, model)]
    for name in ("kept_probabilities", "removed_probabilities"):
        np.testing.assert_allclose(results[0][name], results[1][name], atol=0.02)


def test_a_head_that_reads_a_shape_from_before_the_target_layer():
    """The batch size comes from the images; nothing of the trunk is run a second time."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32) / 50
    dense = np.random.default_rng(1).normal(size=(4 * 16 * 16, 5)).astype(np.float32) / 10

    def model(images):
        features = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))
        return tf.reshape(features, [tf.shape(images)[0], dense.shape[0]]) @ dense

    plan = planned(small_models.traced_function(model))
    head = head_behind(plan.flat.graph_def, plan.target.tensor, plan.scores.tensor)
    assert "Conv2D" not in {node.op for node in head.graph_def.node}
    assert {"Reshape", "MatMul"} <= {node.op for node in head.graph_def.node}
    result = explained(plan, IMAGES, [[1]] * 3)
    a = tf.nn.relu(tf.nn.conv2d(IMAGES.astype(np.float32), kernel, 2, "SAME")).numpy()
    positive = np.maximum(result["cams"][:, 0], 0)
    masked = a * (positive / positive.max(axis=(1, 2), keepdims=True))[..., None]
    expected = tf.nn.softmax(masked.reshape(3, -1) @ dense).numpy()[:, 1]
    np.testing.assert_allclose(result["kept_probabilities"][:, 0], expected, rtol=1e-3, atol=1e-6)


def test_what_overflows_stays_with_its_image():
    def model(images):
        features = tf.exp(tf.nn.conv2d(images, np.ones((3, 3, 3, 4), np.float32), 2, "SAME") / 20)
        return tf.reduce_mean(features, [1, 2]) @ np.eye(4, dtype=np.float32)

    images = np.stack([np.zeros((32, 32, 3)), np.full((32, 32, 3), 255), np.full((32, 32, 3), 10)]).astype(np.uint8)
    plan = planned(small_models.traced_function(model))
    result = Explainer(plan, plan.flat).explain(images, np.zeros((3, 1), np.int32))
    assert np.isfinite(result["kept_probabilities"].numpy()).tolist() == [[True], [False], [True]]
    assert np.isfinite(result["removed_probabilities"].numpy()).tolist() == [[True], [False], [True]]
