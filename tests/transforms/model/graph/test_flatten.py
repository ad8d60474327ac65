import gc

import numpy as np
import pytest
import small_models
import tensorflow as tf

from transforms.model.errors import ModelRefused
from transforms.model.graph.flatten import CUSTOM_GRADIENT, flatten_function
from transforms.model.graph.graph_def import evaluate, node_name
from transforms.model.graph.operations import CALLS

IMAGES = small_models.images(2).astype(np.float32)


def values_of(flat):
    return list(evaluate(flat.graph_def, {**flat.weights, node_name(flat.input): IMAGES}, flat.outputs).values())


def concrete(function, shape=(None, 32, 32, 3)):
    return tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.float32, "images"))


def test_the_flat_graph_computes_what_the_model_does():
    model = small_models.convolutional()
    flat = flatten_function(concrete(lambda images: model(images, training=False)))
    np.testing.assert_allclose(values_of(flat)[0], model(IMAGES, training=False), rtol=1e-5, atol=1e-6)


def test_weights_are_kept_apart():
    model = small_models.convolutional()
    flat = flatten_function(concrete(lambda images: model(images, training=False)))
    kernel = next(weight for weight in flat.weights.values() if weight.shape == (3, 3, 3, 8))
    np.testing.assert_array_equal(kernel, model.get_layer("conv").kernel.numpy())
    assert all(node.op == "Placeholder" for node in flat.graph_def.node if node.name in flat.weights)


def test_nested_calls_are_inlined_with_the_installed_tensorflow():
    """Pins ``tf_optimizer.OptimizeGraph``, which is no public API: when this fails, look there first."""
    weight = tf.Variable(3.0)
    inner = tf.function(lambda x: x * weight)
    middle = tf.function(lambda x: inner(x) + inner(x + 1.0))
    function = concrete(lambda images: middle(images) + inner(images))
    assert any(node.op in CALLS for node in function.graph.as_graph_def().node)
    flat = flatten_function(function)
    assert not any(node.op in CALLS for node in flat.graph_def.node)
    np.testing.assert_allclose(values_of(flat)[0], 9 * IMAGES + 3, rtol=1e-6)


def test_compiled_functions_are_inlined_too():
    inner = tf.function(lambda x: tf.nn.relu(x - 100.0), jit_compile=True)
    flat = flatten_function(concrete(inner))
    np.testing.assert_array_equal(values_of(flat)[0], np.maximum(IMAGES - 100, 0))


def test_a_restored_saved_model(tmp_path):
    model = small_models.convolutional()
    model.export(tmp_path / "model", verbose=False)
    flat = flatten_function(tf.saved_model.load(tmp_path / "model").signatures["serving_default"])
    assert not any(node.op in CALLS for node in flat.graph_def.node)
    np.testing.assert_allclose(values_of(flat)[0], model(IMAGES, training=False), rtol=1e-5, atol=1e-6)


def test_custom_gradients_are_taken_off_and_marked():
    flat = flatten_function(concrete(lambda images: tf.nn.silu(images)))
    assert sum(CUSTOM_GRADIENT in node.attr for node in flat.graph_def.node) == 1
    assert not any("_gradient_op_type" in node.attr for node in flat.graph_def.node)


def test_large_constants_become_weights():
    table = np.random.default_rng(0).normal(size=(64, 512)).astype(np.float32)
    flat = flatten_function(concrete(lambda images: tf.reshape(images, [-1, 64]) @ tf.constant(table)))
    np.testing.assert_array_equal(next(iter(flat.weights.values())), table)


def test_control_flow_stays_functional():
    def loop(images):
        return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2.0), [0, images])[1]

    flat = flatten_function(concrete(loop))
    assert {node.op for node in flat.graph_def.node} & {"While", "StatelessWhile"}
    np.testing.assert_array_equal(values_of(flat)[0], 8 * IMAGES)


def test_bodies_of_control_flow_outlive_the_trace():
    def loop_in_loop(images):
        def inner(x):
            return tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, y + 1.0), [0, x])[1]

        return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, inner(x)), [0, images])[1]

    flat = flatten_function(concrete(loop_in_loop))
    assert len(flat.graph_def.library.function) == 4
    gc.collect()
    np.testing.assert_array_equal(values_of(flat)[0], IMAGES + 6)


def test_two_inputs_are_refused_by_name():
    function = tf.function(lambda left, right: left + right).get_concrete_function(
        tf.TensorSpec([None, 8, 8, 3], name="left"), tf.TensorSpec([None, 8, 8, 3], name="right")
    )
    with pytest.raises(ModelRefused, match=r"2 inputs \(left:0, right:0\)"):
        flatten_function(function)


def test_a_variable_that_is_read_many_times_is_one_weight():
    weight = tf.Variable(tf.fill([3], 2.0))
    flat = flatten_function(
        concrete(lambda images: images * weight.read_value() * weight.read_value() + weight.read_value())
    )
    assert len(flat.weights) == 1
    np.testing.assert_array_equal(values_of(flat)[0], 4 * IMAGES + 2)
