import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from keras import layers

from transforms.model.graph.flatten import flatten_function
from transforms.model.graph.fold import fold_graph, precompute
from transforms.model.graph.graph_def import evaluate, node_name

NOISE = np.random.default_rng(3)
IMAGES = NOISE.normal(size=(2, 16, 16, 4)).astype(np.float32)
KERNEL = NOISE.normal(size=(3, 3, 4, 6)).astype(np.float32)
DEPTHWISE_KERNEL = NOISE.normal(size=(3, 3, 4, 2)).astype(np.float32)
GAMMA, BETA, MEAN, VARIANCE = (NOISE.uniform(0.5, 2, 8).astype(np.float32) for _ in range(4))


def flat_graph(function, shape=(None, 16, 16, 4)):
    return flatten_function(
        tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    )


def values_of(flat, images=IMAGES, tensors=None):
    arrays = {**flat.weights, node_name(flat.input): images}
    return list(evaluate(flat.graph_def, arrays, tensors or flat.outputs).values())


def ops_of(flat):
    return sorted(node.op for node in flat.graph_def.node if node.op not in ("Placeholder", "Const", "Identity"))


def assert_folds(function, expected_ops, images=IMAGES):
    flat = flat_graph(function, (None, *images.shape[1:]))
    folded = fold_graph(flat, flat.outputs)
    assert ops_of(folded) == sorted(expected_ops)
    np.testing.assert_allclose(values_of(folded, images)[0], values_of(flat, images)[0], rtol=1e-4, atol=1e-4)


def convolve(images, data_format="NHWC"):
    return tf.nn.conv2d(images, KERNEL, 1, "SAME", data_format=data_format)


def fused(x, channels, data_format="NHWC"):
    parameters = (parameter[:channels] for parameter in (GAMMA, BETA, MEAN, VARIANCE))
    return tf.compat.v1.nn.fused_batch_norm(x, *parameters, epsilon=0.1, is_training=False, data_format=data_format)[0]


def test_a_fused_batch_norm():
    assert_folds(lambda x: tf.nn.relu(fused(convolve(x), 6)), ["Conv2D", "BiasAdd", "Relu"])


def test_bias_then_batch_norm():
    assert_folds(lambda x: fused(tf.nn.bias_add(convolve(x), GAMMA[:6]), 6), ["Conv2D", "BiasAdd"])


def test_a_depthwise_convolution_with_two_channels_for_each():
    def model(x):
        return fused(tf.nn.depthwise_conv2d(x, DEPTHWISE_KERNEL, [1, 1, 1, 1], "SAME"), 8)

    assert_folds(model, ["DepthwiseConv2dNative", "BiasAdd"])


def test_channels_first():
    def model(x):
        x = convolve(x, "NCHW") * GAMMA[:6].reshape(6, 1, 1) + BETA[:6].reshape(1, 6, 1, 1)
        return fused(x, 6, "NCHW")

    assert_folds(model, ["Conv2D", "BiasAdd"], IMAGES.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x * GAMMA[:6],
        lambda x: GAMMA[:6] * x,
        lambda x: x + BETA[:6],
        lambda x: x - BETA[:6],
        lambda x: BETA[:6] - x,
        lambda x: x / GAMMA[:6],
        lambda x: x * 3.0 + 1.0,
        lambda x: (x - MEAN[:6]) * tf.math.rsqrt(tf.constant(VARIANCE[:6]) + 1e-3) * GAMMA[:6] + BETA[:6],
    ],
)
def test_any_spelling_of_scale_and_offset(step):
    assert_folds(lambda x: step(convolve(x)), ["Conv2D", "BiasAdd"])


@pytest.mark.parametrize(
    ("step", "operation"),
    [
        (lambda x: x * np.linspace(0, 1, 16, dtype=np.float32).reshape(16, 1), "Mul"),  # along the width
        (lambda x: GAMMA[:6] / x, "RealDiv"),
        (lambda x: x * tf.reduce_mean(x), "Mul"),
    ],
)
def test_what_is_no_affine_map_of_channels_is_left_alone(step, operation):
    flat = flat_graph(lambda x: step(convolve(x)))
    folded = fold_graph(flat, flat.outputs)
    assert operation in ops_of(folded)
    np.testing.assert_allclose(values_of(folded)[0], values_of(flat)[0], rtol=1e-4, atol=1e-4)


def test_a_convolution_that_is_read_twice_is_left_alone():
    def model(x):
        x = convolve(x)
        return fused(x, 6) + x

    assert_folds(model, ["Conv2D", "FusedBatchNormV3", "AddV2"])


def test_a_kept_tensor_in_the_middle_of_a_chain_keeps_its_value():
    flat = flat_graph(lambda x: tf.nn.relu(fused(tf.nn.bias_add(convolve(x), BETA[:6], name="kept"), 6)))
    folded = fold_graph(flat, ["kept:0", *flat.outputs])
    for before, after in zip(values_of(flat, tensors=["kept:0", *flat.outputs]),
                             values_of(folded, tensors=["kept:0", *flat.outputs]), strict=True):  # fmt: skip
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_what_does_not_depend_on_the_image_is_computed_once():
    flat = flat_graph(lambda x: x * tf.reduce_sum(tf.exp(tf.constant(GAMMA))))
    once = precompute(flat, flat.outputs)
    assert ops_of(once) == ["Mul"]
    np.testing.assert_allclose(values_of(once)[0], values_of(flat)[0], rtol=1e-6)


def test_a_keras_network_has_no_batch_norm_left():
    model = small_models.randomised(
        keras.Sequential(
            [
                layers.Input((16, 16, 4)),
                layers.Conv2D(8, 3, use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.SeparableConv2D(8, 3),
                layers.BatchNormalization(scale=False),
            ]
        )
    )
    assert_folds(
        lambda x: model(x, training=False),
        ["Conv2D", "BiasAdd", "Relu", "DepthwiseConv2dNative", "Conv2D", "BiasAdd"],
    )
