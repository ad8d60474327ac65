"""Scores and maps against a plain ``GradientTape`` on the original Keras model, one image at a time."""

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from keras import layers
from model_inputs import preprocessed
from small_models import explained, planned, relative_error, tape_gradcam, tape_gradients, traced

from transforms.model.cam.dry_run import folded_graph
from transforms.model.cam.explainer import Explainer
from transforms.model.preprocessing import NAMED

# Measured: 2e-7 to 2e-6.
TOLERANCE = 1e-5
IMAGES = small_models.images(3)
ALL = [[0, 1, 2, 3, 4]] * 3


def cut(model, features="features"):
    """A Sequential model, layer by layer, as a function of images that gives features and logits."""

    def run(images):
        x, kept = images, None
        for layer in model.layers:
            x = x @ layer.kernel + layer.bias if layer.name == "scores" else layer(x, training=False)
            kept = x if layer.name == features else kept
        return kept, x

    return run


@pytest.mark.parametrize("pooled", [True, False])
def test_maps_and_scores_agree_with_a_tape(pooled):
    model = small_models.convolutional(pooled=pooled)
    result = explained(planned(model), IMAGES, ALL)
    for target in range(5):
        activations, gradients, scores = tape_gradients(cut(model), IMAGES, target)
        assert relative_error(result["cams"][:, target], tape_gradcam(cut(model), IMAGES, target)) < TOLERANCE
        evidence = (activations * gradients).sum((1, 2, 3))
        np.testing.assert_allclose(result["evidence"][:, target], evidence, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result["target_scores"][:, target], scores[:, target], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result["scores"], scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result["probabilities"], model(IMAGES, training=False), rtol=1e-4, atol=1e-6)
    assert result["finite"].all()


def test_a_map_for_each_class_and_nothing_but_pooling_behind_it():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=4, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    maps = layers.Conv2D(5, 1, name="class_maps")(x)
    model = keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(maps)))
    result = explained(planned(model), IMAGES, [[3]] * len(IMAGES))
    assert planned(model).target.name == "class_maps"
    expected = keras.Model(inputs, maps)(IMAGES, training=False)[..., 3] / maps.shape[1] / maps.shape[2]
    assert relative_error(result["cams"][:, 0], np.array(expected)) < 1e-5


@pytest.mark.parametrize("layer", ["conv", "conv_bn", "depthwise", "depthwise_bn"])
def test_any_layer_agrees_with_a_tape(layer):
    """The target layer may lie inside what would be folded."""
    model = small_models.convolutional()
    result = explained(planned(model, target_layer=layer), IMAGES, [[2]] * 3)
    assert relative_error(result["cams"][:, 0], tape_gradcam(cut(model, layer), IMAGES, 2)) < TOLERANCE


def test_a_nested_model_agrees_with_its_flattened_rebuild():
    inner = small_models.convolutional()
    base = keras.Model(inner.inputs, inner.get_layer("features").output, name="base")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(4, name="scores")]
    nested = keras.Sequential([layers.Input((32, 32, 3)), base, *head])
    flattened = keras.Sequential([layers.Input((32, 32, 3)), *base.layers[1:], *head])
    result = explained(planned(nested), IMAGES, [[3]] * 3)
    assert planned(nested).target.name == "base/features"
    np.testing.assert_allclose(result["cams"], explained(planned(flattened), IMAGES, [[3]] * 3)["cams"], rtol=1e-5)
    assert relative_error(result["cams"][:, 0], tape_gradcam(cut(flattened), IMAGES, 3)) < TOLERANCE


def test_a_softmax_changes_nothing():
    logits, softmax = small_models.convolutional(activation=None), small_models.convolutional(activation="softmax")
    softmax.set_weights(logits.get_weights())
    first, second = (explained(planned(model), IMAGES, ALL) for model in (logits, softmax))
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_binary_sigmoid_is_two_classes():
    model = small_models.convolutional(activation="sigmoid", classes=1)
    result = explained(planned(model), IMAGES, [[0, 1, -1, -2]] * 3)
    _, _, scores = tape_gradients(cut(model), IMAGES, 0)
    expected = tape_gradcam(cut(model), IMAGES, 0)
    np.testing.assert_allclose(result["scores"], np.concatenate([-scores, scores], 1), rtol=1e-4, atol=1e-5)
    assert relative_error(result["cams"][:, 1], expected) < TOLERANCE
    assert relative_error(result["cams"][:, 0], -expected) < TOLERANCE
    unit = model(IMAGES, training=False).numpy()
    np.testing.assert_allclose(result["probabilities"], np.concatenate([1 - unit, unit], 1), rtol=1e-4, atol=1e-6)
    assert result["classes"][:, 2].tolist() == (scores[:, 0] > 0).astype(int).tolist()
    assert (result["classes"][:, 2] + result["classes"][:, 3]).tolist() == [1, 1, 1]


def test_many_labels_have_a_probability_each():
    model = small_models.convolutional(activation="sigmoid")
    result = explained(planned(model, output_kind="multi_label"), IMAGES, ALL)
    np.testing.assert_allclose(result["probabilities"], model(IMAGES, training=False), rtol=1e-4)


def test_a_batch_equals_single_images():
    """Measured: equal to the last bits; the order of sums may change with the batch size."""
    plan = planned(small_models.convolutional())
    together = explained(plan, IMAGES, ALL)
    for i, image in enumerate(IMAGES):
        alone = explained(plan, image[None], ALL[:1])
        for name, values in alone.items():
            np.testing.assert_allclose(values[0], together[name][i], rtol=1e-5, atol=1e-6, err_msg=name)


def test_ranks_are_resolved_per_image():
    plan = planned(small_models.convolutional())
    result = explained(plan, IMAGES, [[-1, -2, -5], [-5, 3, -1], [4, 4, -2]])
    order = np.argsort(-result["scores"], axis=1)
    assert result["classes"].tolist() == [
        [order[0, 0], order[0, 1], order[0, 4]],
        [order[1, 4], 3, order[1, 0]],
        [4, 4, order[2, 1]],
    ]
    again = explained(plan, IMAGES, result["classes"])
    np.testing.assert_allclose(result["cams"], again["cams"], rtol=1e-6)


@pytest.mark.parametrize("target", [5, -6])
def test_a_class_that_does_not_exist_is_an_error_not_a_zero_map(target):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not among the 5 classes"):
        explained(planned(small_models.convolutional()), IMAGES, [[target]] * 3)


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "xgradcam"])
def test_with_pooling_before_the_head_three_methods_are_one(method):
    model = small_models.convolutional()
    expected = tape_gradcam(cut(model), IMAGES, 1)
    result = explained(planned(model, method=method), IMAGES, [[1]] * 3)
    assert relative_error(result["cams"][:, 0], expected) < 1e-4


def test_with_pooling_before_the_head_evidence_and_bias_are_the_score():
    model = small_models.convolutional()
    result = explained(planned(model), IMAGES, ALL)
    bias = model.get_layer("scores").bias.numpy()
    np.testing.assert_allclose(result["evidence"] + bias, result["target_scores"], rtol=1e-4, atol=1e-5)


def test_with_a_flattening_head_the_methods_differ():
    model = small_models.convolutional(pooled=False)
    maps = {
        m: explained(planned(model, method=m), IMAGES, [[1]] * 3)["cams"] for m in ("gradcam", "hirescam", "layercam")
    }
    activations, gradients, _ = tape_gradients(cut(model), IMAGES, 1)
    np.testing.assert_allclose(maps["hirescam"][:, 0], (activations * gradients).sum(3), rtol=1e-3, atol=1e-5)
    expected = (activations * np.maximum(gradients, 0)).sum(3)
    np.testing.assert_allclose(maps["layercam"][:, 0], expected, rtol=1e-3, atol=1e-5)
    assert relative_error(maps["gradcam"], maps["hirescam"]) > 0.1


def test_swish_is_differentiated_without_its_custom_gradient():
    model = small_models.convolutional()
    plan = planned(model, target_layer="depthwise_bn")
    assert plan.custom_gradients == 1
    assert any("1 custom gradients" in note for note in plan.notes)
    assert planned(model).custom_gradients == 0


def test_the_probability_can_be_differentiated():
    keras.utils.set_random_seed(1)  # with some weights the model is so sure of all images that the gradient is 0
    model = small_models.convolutional()
    result = explained(planned(model, score="probability"), IMAGES, [[1]] * 3)
    logits = cut(model)

    def probabilities(images):
        features, scores = logits(images)
        return features, tf.nn.softmax(scores)

    assert relative_error(result["cams"][:, 0], tape_gradcam(probabilities, IMAGES, 1)) < TOLERANCE
    np.testing.assert_allclose(result["target_scores"], result["probabilities"][:, 1:2], rtol=1e-6)


def test_a_contrast_is_the_difference_of_two_classes():
    model = small_models.convolutional()
    single = explained(planned(model), IMAGES, [[1, 4]] * 3)
    contrast = explained(planned(model, contrast=4), IMAGES, [[1, 4]] * 3)
    difference = single["cams"][:, 0] - single["cams"][:, 1]
    np.testing.assert_allclose(contrast["cams"][:, 0], difference, rtol=1e-3, atol=1e-5)
    scores = single["target_scores"]
    np.testing.assert_allclose(contrast["target_scores"][:, 0], scores[:, 0] - scores[:, 1], rtol=1e-4, atol=1e-5)
    assert not contrast["cams"][:, 1].any()


def test_the_runner_up_is_the_highest_class_of_each_image_but_the_one_that_is_explained():
    model = small_models.convolutional()
    scores = explained(planned(model), IMAGES, [[0]] * 3)["scores"]
    ranked = np.argsort(-scores, axis=1)
    targets = np.stack([ranked[:, 0], ranked[:, 2]], axis=1)
    others = np.stack([ranked[:, 1], ranked[:, 0]], axis=1)
    found = explained(planned(model, contrast="runner_up"), IMAGES, targets)
    single, against = (explained(planned(model), IMAGES, classes)["cams"] for classes in (targets, others))
    np.testing.assert_allclose(found["cams"], single - against, rtol=1e-3, atol=1e-5)


def test_a_contrast_can_be_named():
    names = ("ant", "bee", "cat", "dog", "emu")
    assert planned(traced(small_models.convolutional(), class_names=names), contrast="dog").contrast == 3


@pytest.mark.parametrize("name", ["unit", "minus_one_to_one", "caffe", "torch"])
def test_preprocessing_is_in_the_graph(name):
    model = small_models.convolutional()
    result = explained(planned(traced(model, name)), IMAGES, ALL)
    expected = model(preprocessed(IMAGES, NAMED[name]), training=False)
    np.testing.assert_allclose(result["probabilities"], expected, rtol=1e-4, atol=1e-6)


def test_weights_may_be_variables():
    plan = planned(small_models.convolutional())
    graph, _ = folded_graph(plan)
    variables = Explainer(plan, graph, largest_constants=0)
    assert (
        sum(v.shape.num_elements() * 4 for v in variables.variables)
        == sum(w.nbytes for w in graph.weights.values())
        > 0
    )
    cams = variables.explain(IMAGES, np.array(ALL, np.int32))["cams"]
    np.testing.assert_allclose(cams, explained(plan, IMAGES, ALL)["cams"], rtol=1e-5, atol=1e-6)


def test_a_channels_first_model():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)
    head = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)

    def first(images):
        features = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME", data_format="NCHW"))
        return tf.nn.softmax(tf.reduce_mean(features, [2, 3]) @ head)

    def last(images):
        features = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))
        return features, tf.reduce_mean(features, [1, 2]) @ head

    plan = planned(small_models.traced_function(first, (None, 3, 32, 32)))
    result = explained(plan, IMAGES, [[2]] * 3)
    assert relative_error(result["cams"][:, 0], tape_gradcam(last, IMAGES, 2)) < TOLERANCE


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    """The maps are as exact as the model is."""
    model = small_models.convolutional()
    keras.config.set_dtype_policy(policy)
    try:
        half = small_models.convolutional()
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())
    result = explained(planned(traced(half, "unit")), IMAGES, ALL)
    expected = explained(planned(traced(model, "unit")), IMAGES, ALL)
    assert result["cams"].dtype == np.float32
    assert relative_error(result["cams"], expected["cams"]) < 0.03


def test_probabilities_without_logits_are_seen_for_what_they_are():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32) / 100

    def ensemble(images):
        features = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME")), [1, 2])
        return (tf.nn.softmax(features) + tf.nn.softmax(-features)) / 2

    plan = planned(small_models.traced_function(ensemble))
    result = explained(plan, IMAGES, [[-1]] * 3)
    assert plan.scores.are_probabilities
    np.testing.assert_array_equal(result["probabilities"], result["scores"])
    np.testing.assert_allclose(result["probabilities"].sum(1), 1, rtol=1e-5)


def test_an_image_that_overflows_does_not_spoil_its_neighbours():
    def model(images):
        features = tf.nn.conv2d(images, np.ones((3, 3, 3, 4), np.float32), 2, "SAME")
        features = tf.exp(features / 20)  # beyond float32 for bright images
        return tf.reduce_mean(features, [1, 2]) @ np.eye(4, dtype=np.float32)

    images = np.stack([np.zeros((32, 32, 3)), np.full((32, 32, 3), 255), np.full((32, 32, 3), 10)]).astype(np.uint8)
    plan = planned(small_models.traced_function(model))
    outputs = Explainer(plan, plan.flat).explain(images, np.array([[0, 1]] * 3, np.int32))
    assert outputs["finite"].numpy().tolist() == [[True, True], [False, False], [True, True]]
    assert np.isfinite(outputs["cams"].numpy()[[0, 2]]).all()
