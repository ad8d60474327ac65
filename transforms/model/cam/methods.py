"""The mathematics: activations and gradients -> a class activation map. Each method is a function with ``@method``.

Notation: ``A`` activations and ``G`` gradients of the score with respect to them, float32 ``[B, h, w, C]`` with the
channels last; a map ``[B, h, w]`` is signed: the ReLU that the papers put on top belongs to whoever draws it.
Gradients that are the same in every cell, as behind global average pooling, may come as ``[B, 1, 1, C]``.

The names of the methods are the choices of ``explain.method``; the config reads them here, so nothing in this file
looks at TensorFlow before a method is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from transforms.model.tensorflow import tf

if TYPE_CHECKING:
    from transforms.model.graph import Tensor

    Method = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_SPACE = [1, 2]

# Where positive and negative activations cancel to this share of their magnitude, their sum is rounding error.
_CANCELLED = 1e-5
_VANISHED = 1e-3


METHODS: dict[str, Method] = {}
"""Name -> function of activations and gradients, giving the map ``[B, h, w]`` and, int32 ``[B]``, how many channels
were guarded: those whose weight could not be computed and is 0 instead."""


def feature_method(name: str) -> Method:
    """The method of that name; ``gradcam`` for those that are made of attention maps."""
    return METHODS.get(name, gradcam)


def method(name: str) -> Callable[[Method], Method]:
    """Make a function a method that ``explain.method`` can name."""

    def register(function: Method) -> Method:
        METHODS[name] = function
        return function

    return register


@method("gradcam")
def gradcam(a: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Grad-CAM, arXiv 1610.02391, equations 1 and 2: ``w_c = mean_ij G``, ``S = sum_c w_c A_c``."""
    weights = tf.reduce_mean(g, _SPACE)
    return _weighted_sum(a, weights), _none_guarded(a)


@method("hirescam")
def hirescam(a: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """HiResCAM, arXiv 2011.08891: ``S = sum_c G_c A_c``."""
    return _sum_over_channels(g, a), _none_guarded(a)


@method("layercam")
def layercam(a: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """LayerCAM, Jiang et al., IEEE TIP 30, 2021: ``S = sum_c relu(G_c) A_c``."""
    return _sum_over_channels(tf.nn.relu(g), a), _none_guarded(a)


@method("xgradcam")
def xgradcam(a: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """XGrad-CAM, arXiv 2008.02312: ``w_c = sum_ij G A / sum_ij A``, ``S = sum_c w_c A_c``.

    The paper has activations behind a ReLU. Where they can be negative the denominator can vanish while the channel
    does not: such a channel gets the weight 0 and is counted.
    """
    denominator = tf.reduce_sum(a, _SPACE)
    magnitude = tf.reduce_sum(tf.abs(a), _SPACE)
    unsafe = tf.abs(denominator) <= _CANCELLED * magnitude
    weights = tf.reduce_sum(g * a, _SPACE) / tf.where(unsafe, tf.ones_like(denominator), denominator)
    weights = tf.where(unsafe, tf.zeros_like(weights), weights)
    return _weighted_sum(a, weights), tf.math.count_nonzero(unsafe & (magnitude > 0), 1, dtype=tf.int32)


@method("gradcam++")
def gradcam_plus_plus(a: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Grad-CAM++, arXiv 1710.11063: ``S = sum_c w_c A_c``, ``w_c = sum_ij alpha relu(G)``.

    ``alpha = G^2 / (2 G^2 + sum_ij(A) G^3) = 1 / (2 + G sum_ij(A))``: the exponential that the paper puts around the
    score cancels here, and elsewhere only scales the whole map. With activations behind a ReLU the denominator is at
    least 2 wherever ``relu(G)`` is not 0. Where they can be negative it can vanish or change its sign: such a cell
    gets the weight 0, and its channel is counted.
    """
    positive = tf.broadcast_to(tf.nn.relu(g), tf.shape(a))
    denominator = 2.0 + positive * tf.reduce_sum(a, _SPACE, keepdims=True)
    unsafe = denominator <= _VANISHED
    alpha = tf.where(unsafe, tf.zeros_like(denominator), 1.0 / tf.where(unsafe, tf.ones_like(denominator), denominator))
    weights = tf.reduce_sum(alpha * positive, _SPACE)
    return _weighted_sum(a, weights), tf.math.count_nonzero(tf.reduce_any(unsafe, _SPACE), 1, dtype=tf.int32)


def evidence(a: Tensor, g: Tensor) -> Tensor:
    """``sum_ijc G A``, ``[B]``. Where average pooling and a linear layer follow ``A``: the score minus its bias."""
    return tf.reduce_sum(_sum_over_channels(g, a), _SPACE)


def heatmap(cam: Tensor) -> Tensor:
    """``P / max P`` with ``P = max(S, 0)``, 0..1, ``[..., h, w]``; zeros where no cell is positive."""
    positive = tf.nn.relu(cam)
    return tf.math.divide_no_nan(positive, tf.reduce_max(positive, [-2, -1], keepdims=True))


def _sum_over_channels(g: Tensor, a: Tensor) -> Tensor:
    """``sum_c g_c a_c`` for every cell."""
    return _weighted_sum(a, g[:, 0, 0]) if g.shape[1:3].as_list() == [1, 1] else tf.reduce_sum(g * a, 3)


def _weighted_sum(a: Tensor, weights: Tensor) -> Tensor:
    return tf.einsum("bhwc,bc->bhw", a, weights)


def _none_guarded(a: Tensor) -> Tensor:
    return tf.zeros(tf.shape(a)[:1], tf.int32)
