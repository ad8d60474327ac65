import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf

from transforms.model.graph.flatten import flatten_function
from transforms.model.plan.fingerprint import fingerprint_of, graph_digests


def print_of(model=None, preprocessing="none", **options):
    return fingerprint_of(
        small_models.planned(small_models.traced(model or small_models.convolutional(), preprocessing), **options)
    )


def test_another_trace_of_another_instance_has_the_same():
    first, second = small_models.convolutional(), small_models.convolutional()
    second.set_weights(first.get_weights())
    assert print_of(first) == print_of(second)
    assert len(print_of(first)) == 32


def test_names_and_kind_of_source_do_not_count(tmp_path):
    model = small_models.convolutional()
    renamed = keras.Sequential([keras.Input((32, 32, 3)), *model.layers], name="something_else")
    assert print_of(model) == print_of(renamed)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "hirescam"},
        {"score": "probability"},
        {"contrast": 2},
        {"target_layer": "conv"},
        {"preprocessing": "unit"},
        {"preprocessing": "caffe"},
    ],
)
def test_options_count(options):
    model = small_models.convolutional()
    assert print_of(model) != print_of(model, **options)


def test_a_single_weight_counts():
    model = small_models.convolutional()
    before = print_of(model)
    model.get_layer("conv_bn").moving_variance.assign_add([0, 0, 0, 1e-6, 0, 0, 0, 0])
    assert print_of(model) != before


def test_auto_and_the_name_of_the_same_layer_are_the_same():
    model = small_models.convolutional()
    assert print_of(model) == print_of(model, target_layer="features") == print_of(model, target_layer=-1)


def test_what_is_after_the_logits_and_what_a_constant_is_count():
    def digest(function):
        concrete = tf.function(function).get_concrete_function(tf.TensorSpec([None, 4]))
        flat = flatten_function(concrete)
        return graph_digests(flat, flat.outputs)

    assert digest(lambda x: tf.nn.relu(x) + 1.0) == digest(lambda x: tf.nn.relu(x, name="other") + 1.0)
    assert digest(lambda x: tf.nn.relu(x) + 1.0) != digest(lambda x: tf.nn.relu(x) + 2.0)
    assert digest(lambda x: tf.nn.relu(x) + 1.0) != digest(lambda x: tf.nn.relu6(x) + 1.0)
    assert digest(lambda x: x - 2 * tf.nn.relu(x)) != digest(lambda x: tf.nn.relu(x) - 2 * x)


def test_loop_bodies_count():
    def loop(factor):
        def model(x):
            return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * factor), [0, x])[1]

        flat = flatten_function(tf.function(model, autograph=False).get_concrete_function(tf.TensorSpec([None, 4])))
        return graph_digests(flat, flat.outputs)

    assert loop(2.0) == loop(2.0)
    assert loop(2.0) != loop(3.0)


def test_which_output_of_an_operation_counts():
    def half(index):
        flat = flatten_function(
            tf.function(lambda x: tf.identity(tf.split(x, 2, axis=1)[index])).get_concrete_function(
                tf.TensorSpec([None, 4])
            )
        )
        return graph_digests(flat, flat.outputs)

    assert half(0) != half(1)
    np.testing.assert_equal(half(1), half(1))
