"""The methods against numpy, loop by loop, as their papers write them."""

import numpy as np
import pytest
import tensorflow as tf

from transforms.model.cam.methods import METHODS, evidence

NOISE = np.random.default_rng(7)
ACTIVATIONS = NOISE.uniform(0, 2, (3, 4, 5, 6)).astype(np.float32)  # behind a ReLU
GRADIENTS = NOISE.normal(size=(3, 4, 5, 6)).astype(np.float32)


def gradcam(a, g):
    return sum(g[..., c].mean() * a[..., c] for c in range(a.shape[-1]))


def hirescam(a, g):
    return sum(g[..., c] * a[..., c] for c in range(a.shape[-1]))


def layercam(a, g):
    return sum(np.maximum(g[..., c], 0) * a[..., c] for c in range(a.shape[-1]))


def xgradcam(a, g):
    return sum((g[..., c] * a[..., c] / a[..., c].sum()).sum() * a[..., c] for c in range(a.shape[-1]))


def gradcam_plus_plus(a, g):
    """With the powers of the gradient and, around them, the exponential of a score, as in the paper."""
    score = 0.7
    first, second, third = (np.exp(score) * g**order for order in (1, 2, 3))
    total = 0
    for c in range(a.shape[-1]):
        alpha = second[..., c] / (2 * second[..., c] + a[..., c].sum() * third[..., c])
        total = total + (alpha * np.maximum(first[..., c], 0)).sum() * a[..., c]
    return total / np.exp(score)


ORACLES = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "hirescam": hirescam,
    "layercam": layercam,
    "xgradcam": xgradcam,
}


def test_every_method_has_an_oracle():
    assert METHODS.keys() == ORACLES.keys()


@pytest.mark.parametrize("name", METHODS)
def test_methods_follow_their_formula(name):
    maps, guarded = METHODS[name](tf.constant(ACTIVATIONS), tf.constant(GRADIENTS))
    expected = np.stack(
        [ORACLES[name](a.astype(float), g.astype(float)) for a, g in zip(ACTIVATIONS, GRADIENTS, strict=True)]
    )
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)
    assert guarded.numpy().tolist() == [0, 0, 0]


def test_a_map_by_hand():
    activations = np.zeros((1, 1, 2, 2), np.float32)
    activations[0, 0] = [[1, 0], [3, 2]]
    gradients = np.zeros((1, 1, 2, 2), np.float32)
    gradients[0, 0] = [[2, -1], [4, -1]]
    gradients = tf.constant(gradients)
    assert METHODS["gradcam"](activations, gradients)[0].numpy().tolist() == [[[3.0, 7.0]]]  # weights 3 and -1
    assert METHODS["hirescam"](activations, gradients)[0].numpy().tolist() == [[[2.0, 10.0]]]
    assert METHODS["layercam"](activations, gradients)[0].numpy().tolist() == [[[2.0, 12.0]]]
    assert METHODS["xgradcam"](activations, gradients)[0].numpy().tolist() == [[[3.5, 8.5]]]  # weights 14/4 and -1
    # sums 4 and 2; alpha 1/(2+8), 1/(2+16) -> weights 2/10 + 4/18 and 0
    np.testing.assert_allclose(METHODS["gradcam++"](activations, gradients)[0], [[[0.42222, 1.26667]]], rtol=1e-4)
    assert evidence(activations, gradients).numpy().tolist() == [12.0]


@pytest.mark.parametrize("name", METHODS)
def test_gradients_may_be_given_once_for_all_cells(name):
    uniform = GRADIENTS[:, :1, :1]
    everywhere = np.ascontiguousarray(np.broadcast_to(uniform, GRADIENTS.shape))
    np.testing.assert_allclose(
        METHODS[name](ACTIVATIONS, tf.constant(uniform))[0],
        METHODS[name](ACTIVATIONS, tf.constant(everywhere))[0],
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        evidence(ACTIVATIONS, tf.constant(uniform)), evidence(ACTIVATIONS, tf.constant(everywhere)), rtol=1e-4
    )


def test_a_dead_channel_adds_nothing():
    activations, gradients = ACTIVATIONS.copy(), GRADIENTS.copy()
    activations[..., 0], gradients[..., 1] = 0, 0
    for name, method in METHODS.items():
        maps, guarded = method(activations, tf.constant(gradients))
        rest, _ = method(activations[..., 2:], tf.constant(gradients[..., 2:]))
        np.testing.assert_allclose(maps, rest, rtol=1e-4, atol=1e-5, err_msg=name)
        assert guarded.numpy().tolist() == [0, 0, 0]


def test_xgradcam_leaves_out_a_channel_whose_activations_cancel():
    activations, gradients = ACTIVATIONS[:1].copy(), tf.constant(GRADIENTS[:1])
    activations[0, :2, :, 0], activations[0, 2:, :, 0] = 1, -1
    maps, guarded = METHODS["xgradcam"](activations, gradients)
    rest, _ = METHODS["xgradcam"](activations[..., 1:], gradients[..., 1:])
    np.testing.assert_allclose(maps, rest, rtol=1e-5)
    assert guarded.numpy().tolist() == [1]


def test_gradcam_plus_plus_leaves_out_cells_whose_denominator_is_not_positive():
    activations = np.full((1, 1, 2, 1), -2, np.float32)  # their sum is -4
    gradients = np.array([0.25, 1.0], np.float32).reshape(1, 1, 2, 1)  # denominators 1 and -2
    maps, guarded = METHODS["gradcam++"](activations, tf.constant(gradients))
    assert maps.numpy().tolist() == [[[-0.5, -0.5]]]  # the weight is 0.25 / 1
    assert guarded.numpy().tolist() == [1]
