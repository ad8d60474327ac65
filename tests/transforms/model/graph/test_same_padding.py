import numpy as np
import pytest
import tensorflow as tf

from transforms.model.graph.flatten import flatten_function
from transforms.model.graph.graph_def import evaluate, node_name
from transforms.model.graph.same_padding import pad_in_convolutions

NOISE = np.random.default_rng(5)


def flat_graph(function, shape):
    return flatten_function(
        tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    )


def values_of(flat, images):
    values = evaluate(flat.graph_def, {**flat.weights, node_name(flat.input): images}, flat.outputs)
    return next(iter(values.values()))


def pads_left(function, images):
    """How many ``Pad`` operations are left; the values are the same."""
    flat = flat_graph(function, (None, *images.shape[1:]))
    without = pad_in_convolutions(flat, {node_name(output) for output in flat.outputs})
    np.testing.assert_allclose(values_of(without, images), values_of(flat, images), rtol=1e-5, atol=1e-5)
    return sum(node.op == "Pad" for node in without.graph_def.node)


def images(height, width, channels=4):
    return NOISE.normal(size=(2, height, width, channels)).astype(np.float32)


def padded_convolution(rows, columns, size=3, stride=2, dilation=1, depthwise=False, channels=4):
    kernel = NOISE.normal(size=(size, size, channels, 1 if depthwise else 5)).astype(np.float32)

    def model(x):
        x = tf.pad(x, [[0, 0], rows, columns, [0, 0]])
        if depthwise:
            return tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "VALID")
        return tf.nn.conv2d(x, kernel, stride, "VALID", dilations=dilation)

    return model


@pytest.mark.parametrize("depthwise", [False, True])
def test_what_keras_pads_on_even_sizes_is_same(depthwise):
    assert pads_left(padded_convolution([0, 1], [0, 1], depthwise=depthwise), images(8, 12)) == 0


def test_odd_sizes():
    """SAME adds a row above as well as below."""
    assert pads_left(padded_convolution([0, 1], [0, 1]), images(9, 8)) == 1
    assert pads_left(padded_convolution([1, 1], [0, 1]), images(9, 8)) == 0


def test_more_zeros_than_same_stay():
    """The 7x7 convolution with stride 2 of ResNet adds (3, 3), SAME adds (2, 3)."""
    assert pads_left(padded_convolution([3, 3], [3, 3], size=7), images(16, 16)) == 1


def test_dilation():
    assert pads_left(padded_convolution([2, 2], [2, 2], stride=1, dilation=2), images(10, 10)) == 0
    assert pads_left(padded_convolution([1, 1], [1, 1], stride=1, dilation=2), images(10, 10)) == 1


def test_unknown_sizes_are_left_alone():
    flat = flat_graph(padded_convolution([0, 1], [0, 1]), (None, None, None, 4))
    without = pad_in_convolutions(flat, {node_name(output) for output in flat.outputs})
    assert [node.op for node in without.graph_def.node].count("Pad") == 1


def test_a_pad_that_is_read_elsewhere_stays_for_the_other():
    kernel = NOISE.normal(size=(3, 3, 4, 4)).astype(np.float32)

    def model(x):
        x = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]])
        return tf.nn.conv2d(x, kernel, 2, "VALID") + tf.nn.max_pool2d(x, 3, 2, "VALID")

    assert pads_left(model, images(8, 8)) == 1


def test_other_constants_than_zero_are_no_padding_of_same():
    kernel = NOISE.normal(size=(3, 3, 4, 4)).astype(np.float32)
    flat = flat_graph(
        lambda x: tf.nn.conv2d(tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]], constant_values=1.0), kernel, 2, "VALID"),
        (None, 8, 8, 4),
    )
    without = pad_in_convolutions(flat, {node_name(output) for output in flat.outputs})
    assert [node.op for node in without.graph_def.node].count("PadV2") == 1


def test_channels_first():
    kernel = NOISE.normal(size=(3, 3, 4, 5)).astype(np.float32)

    def model(x):
        x = tf.pad(x, [[0, 0], [0, 0], [0, 1], [0, 1]])
        return tf.nn.conv2d(x, kernel, 2, "VALID", data_format="NCHW")

    flat = flat_graph(model, (None, 4, 8, 8))
    without = pad_in_convolutions(flat, {node_name(output) for output in flat.outputs})
    assert "Pad" not in [node.op for node in without.graph_def.node]
    x = images(8, 8).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(values_of(without, x), values_of(flat, x), rtol=1e-5, atol=1e-5)
