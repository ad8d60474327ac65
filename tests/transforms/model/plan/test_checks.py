"""Models that cannot be explained, one by one: each refusal says what, why and what to do."""

import dataclasses
import gc
import re

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from keras import layers

from transforms.model.cam.dry_run import folded_graph, refuse_mixed_batches
from transforms.model.cam.explainer import Explainer
from transforms.model.errors import ModelRefused
from transforms.model.preprocessing import NAMED

NOISE = np.random.default_rng(0)
KERNEL = NOISE.normal(size=(3, 3, 3, 4)).astype(np.float32)
HEAD = NOISE.normal(size=(4, 5)).astype(np.float32)


def features_of(images):
    return tf.nn.relu(tf.nn.conv2d(images, KERNEL, 2, "SAME"), name="features")


def refused(function, match):
    with pytest.raises(ModelRefused, match=match):
        compile_checks(small_models.planned(small_models.traced_function(function)))


def compile_checks(plan):
    graph, _ = folded_graph(plan)
    refuse_mixed_batches(plan, Explainer(plan, graph))


def test_a_sound_model_passes():
    compile_checks(
        small_models.planned(small_models.traced_function(lambda x: tf.reduce_mean(features_of(x), [1, 2]) @ HEAD))
    )


def test_batch_norm_in_training_mode():
    model = small_models.convolutional()
    function = tf.function(lambda x: model(x, training=True), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec([None, 32, 32, 3]))
    plan = small_models.planned(dataclasses.replace(small_models.traced(model), function=concrete))
    with pytest.raises(ModelRefused, match=r"other images of its batch.*training=False"):
        compile_checks(plan)


def test_fused_batch_norm_in_training_mode():
    def model(images):
        ones = tf.ones(4)
        x = tf.compat.v1.nn.fused_batch_norm(tf.nn.conv2d(images, KERNEL, 2, "SAME"), ones, ones, is_training=True)[0]
        return tf.reduce_mean(x, [1, 2]) @ HEAD

    refused(model, "Batch normalisation is in training mode.*inference mode")


def test_random_operations():
    refused(
        lambda x: tf.reduce_mean(tf.nn.dropout(features_of(x), 0.5), [1, 2]) @ HEAD,
        r"random numbers \(.*RandomUniform.*training=False",
    )


def test_control_flow_between_features_and_scores():
    def model(images):
        pooled = tf.reduce_mean(features_of(images), [1, 2])
        return tf.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, x * 2.0), [0, pooled])[1] @ HEAD

    refused(model, "Control flow lies between features:0 and the scores: .*While.*target_layer")


def test_control_flow_before_the_features_does_no_harm():
    def model(images):
        images = tf.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, x * 2.0), [0, images])[1]
        return tf.reduce_mean(features_of(images), [1, 2]) @ HEAD

    plan = small_models.planned(small_models.traced_function(model))
    gc.collect()  # the trace is gone, and with it the functions that it made
    compile_checks(plan)
    explained = small_models.explained(plan, small_models.images(2), [[0], [1]])
    assert explained["finite"].all()


def test_python_code_in_the_graph():
    def model(images):
        images = tf.ensure_shape(tf.numpy_function(lambda array: array, [images], tf.float32), [None, 32, 32, 3])
        return tf.reduce_mean(features_of(images), [1, 2]) @ HEAD

    refused(model, r"The scores need Python code.*PyFunc.*Replace tf\.py_function")


def labels():
    keys = tf.range(5, dtype=tf.int64)
    names = tf.lookup.KeyValueTensorInitializer(keys, tf.constant(["a", "b", "c", "d", "e"]))
    weights = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([1.0, 2.0, 3.0, 4.0, 5.0]))
    return tf.lookup.StaticHashTable(names, "?"), tf.lookup.StaticHashTable(weights, 0.0)


def test_what_only_other_outputs_need_does_no_harm():
    names, _ = labels()

    def model(images):
        scores = tf.nn.softmax(tf.reduce_mean(features_of(images), [1, 2]) @ HEAD)
        remark = tf.numpy_function(lambda array: array, [scores], tf.float32)
        return {"label": names.lookup(tf.argmax(scores, 1)), "remark": remark, "scores": scores}

    plan = small_models.planned(small_models.traced_function(model))
    compile_checks(plan)
    assert plan.scores.output == "scores"
    assert plan.outputs == {"label": None, "remark": None, "scores": (None, 5)}


def test_a_table_between_image_and_scores():
    _, weights = labels()
    refused(
        lambda x: tf.reduce_mean(features_of(x), [1, 2]) @ HEAD * weights.lookup(tf.range(5, dtype=tf.int64)),
        r"Weights or tables are read.*\(LookupTableFindV2\)\. Build the model without",
    )


def test_a_variable_inside_control_flow():
    weight = tf.Variable(tf.ones([4, 5]))

    def model(images):
        pooled = tf.reduce_mean(features_of(images), [1, 2])
        return tf.cond(tf.reduce_sum(images) > 0, lambda: pooled @ weight, lambda: pooled @ HEAD)

    refused(model, r"are read inside control flow.*cond \(If\).*unroll=True")


def test_several_crops_of_each_image():
    def model(images):
        both = tf.reshape(tf.stack([images, images[:, :, ::-1]], 1), [-1, 32, 32, 3])
        scores = tf.nn.softmax(tf.reduce_mean(features_of(both), [1, 2]) @ HEAD)
        return tf.reduce_mean(tf.reshape(scores, [-1, 2, 5]), 1)

    refused(model, "makes 8 feature maps features:0 and 4 rows of scores of 4 images")


def test_a_model_that_fails_when_it_runs():
    refused(
        lambda x: tf.reshape(features_of(x), [-1, 1000]) @ tf.ones([1000, 5]),
        r"fails on made-up images.*evenly divisible by 1000 but is 4096.*set model\.input_size",
    )


def test_an_operation_without_a_gradient():
    refused(
        lambda x: (
            tf.cast(tf.bitwise.invert(tf.cast(tf.reduce_mean(features_of(x), [1, 2]), tf.int32)), tf.float32) @ HEAD
        ),
        "No gradient reaches features:0.*Invert",
    )
    traced = small_models.traced_function(
        lambda x: tf.reduce_mean(tf.image.adjust_contrast(features_of(x), 2.0), [1, 2]) @ HEAD
    )
    with pytest.raises(ModelRefused, match=r"between features:0 and the scores has no gradient: .*AdjustContrast"):
        small_models.planned(traced, target_layer="features")


@pytest.mark.parametrize(("mode", "refused"), [("int8", True), ("int4", False)])
def test_quantised_activations_hide_their_gradient_and_quantised_weights_do_not(mode, refused):
    model = small_models.convolutional(activation=None)
    reference = keras.Model(model.inputs, [model.get_layer("features").output, model.outputs[0]])
    model.quantize(mode)
    if refused:
        with pytest.raises(
            ModelRefused, match=r"rounded between features and the scores.*\(Round\).*Explain the model"
        ):
            small_models.planned(model)
        return
    pixels = small_models.images(2)
    result = small_models.explained(small_models.planned(model), pixels, [[2]] * 2)
    expected = small_models.tape_gradcam(lambda x: reference(x, training=False), pixels, 2)
    assert small_models.relative_error(result["cams"][:, 0], expected) < 1e-4


def test_a_gradient_that_is_zero_for_every_class():
    refused(
        lambda x: tf.round(tf.reduce_mean(features_of(x), [1, 2]) @ HEAD),
        "gradient of every class.*is zero|No gradient",
    )
    refused(
        lambda x: tf.clip_by_value(tf.reduce_mean(features_of(x), [1, 2]), 1e6, 1e7) @ HEAD,
        "gradient of every class with respect to features:0 is zero",
    )


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_weights_that_are_not_finite_cost_rows_not_the_job(weight):
    plan = small_models.planned(
        small_models.traced_function(lambda x: tf.reduce_mean(features_of(x), [1, 2]) @ (HEAD * weight))
    )
    graph, notes = folded_graph(plan)
    assert re.match("the scores of 4 of 4 made-up images are not finite.*model.preprocessing", notes[0])
    module = Explainer(plan, graph)
    refuse_mixed_batches(plan, module)
    assert not module.predict(small_models.images(2))["finite"].numpy().any()


def test_an_image_without_contrast_may_have_no_scores():
    """Gray divided by its own deviation is no number; the other made-up images do well, and so does folding."""

    def standardized(x):
        return features_of((x - tf.reduce_mean(x, [1, 2, 3], True)) / tf.math.reduce_std(x, [1, 2, 3], True))

    plan = small_models.planned(small_models.traced_function(lambda x: tf.reduce_mean(standardized(x), [1, 2]) @ HEAD))
    graph, notes = folded_graph(plan)
    assert notes[0].startswith("the scores of 1 of 4 made-up images")
    gray = np.concatenate([small_models.images(1), np.full((1, *small_models.images(1).shape[1:]), 128, np.uint8)])
    assert Explainer(plan, graph).predict(gray)["finite"].numpy().tolist() == [[True], [False]]


def test_more_than_one_image_input():
    function = tf.function(lambda a, b: tf.reduce_mean(features_of(a) + features_of(b), [1, 2]) @ HEAD, autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec([None, 32, 32, 3]), tf.TensorSpec([None, 32, 32, 3]))
    traced = small_models.traced_function(lambda x: x)
    with pytest.raises(ModelRefused, match="2 inputs"):
        small_models.planned(dataclasses.replace(traced, function=concrete))


def test_an_unknown_image_size():
    traced = small_models.traced_function(
        lambda x: tf.reduce_mean(features_of(x), [1, 2]) @ HEAD, (None, None, None, 3)
    )
    with pytest.raises(ModelRefused, match=r"images of any size.*model\.input_size"):
        small_models.planned(traced)


def test_unknown_preprocessing():
    traced = small_models.traced_function(lambda x: tf.reduce_mean(features_of(x), [1, 2]) @ HEAD)
    with pytest.raises(ModelRefused, match=r"Set model\.preprocessing: none, unit"):
        small_models.planned(dataclasses.replace(traced, preprocessing=None))


def test_scaled_pixels_for_a_model_of_integers():
    traced = small_models.traced_function(
        lambda x: tf.reduce_mean(features_of(tf.cast(x, tf.float32)), [1, 2]) @ HEAD, dtype=tf.uint8
    )
    compile_checks(small_models.planned(traced))
    with pytest.raises(ModelRefused, match="takes uint8 pixels, which preprocessing unit would round away"):
        small_models.planned(dataclasses.replace(traced, preprocessing=NAMED["unit"]))


def test_the_wrong_number_of_class_names():
    with pytest.raises(ModelRefused, match="2 class names for 5 classes"):
        small_models.planned(small_models.traced(small_models.convolutional(), class_names=("cat", "dog")))


@pytest.mark.parametrize(
    ("contrast", "message"), [(5, "no class 5"), ("bird", "no class 'bird'"), ("-1", "no class -1")]
)
def test_a_contrast_that_is_no_class(contrast, message):
    with pytest.raises(ModelRefused, match=message):
        small_models.planned(small_models.convolutional(), contrast=contrast)


def test_a_feature_extractor():
    model = keras.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(4, 3)])
    with pytest.raises(ModelRefused, match="classifier head on top"):
        small_models.planned(model)


def test_a_network_that_jax_compiled_is_told_by_name():
    # Not public: jax2tf calls it too.
    from tensorflow.compiler.tf2xla.python import xla

    def model(images):
        shapes = [tf.TensorShape([None, 5])]
        return xla.call_module([images], version=9, module=b"", Sout=shapes, Tout=[tf.float32], platforms=["CPU"])[0]

    refused(model, r"XlaCallModule: it was exported from JAX.*the \.keras file.*native_serialization=False")


def test_float8_is_told_as_what_it_is():
    model = small_models.convolutional(activation=None)
    model.quantize("float8")
    with pytest.raises(ModelRefused, match=r"rounded between features and the scores.*\(Cast\).*Explain the model"):
        small_models.planned(model)
