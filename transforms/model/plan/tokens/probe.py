"""Which tokens the scores depend on, seen from gradients on made-up images. Imports TensorFlow."""

from collections.abc import Mapping, Sequence

import numpy as np

from transforms.model.graph import FlatGraph, Tensor, splice
from transforms.model.plan.checks import refusing_failures
from transforms.model.plan.tokens.layout import TokenLayout, lay_out
from transforms.model.tensorflow import tf

_NONE = 1e-6  # of the largest gradient


def reached_by_gradient(
    flat: FlatGraph, scores: str, layouts: Sequence[tuple[str, TokenLayout]], feeds: Mapping[str, np.ndarray]
) -> Mapping[str, bool]:
    """Whether the gradient of a random mixture of all scores reaches the tokens that are cells, of each tensor.

    Behind the last attention of a transformer whose scores read its class token alone, it does not.

    Args:
        layouts: names of tensors, and how their tokens lie.
        feeds: weights and inputs by node.
    """

    def sizes(output: Tensor, mixture: Tensor, *tokens: Tensor) -> list[list[Tensor]]:
        gradients = tf.gradients(output, tokens, mixture)  # of all in one pass, since one leads to the other
        return [
            [_largest(lay_out(gradient, layout)), _largest(gradient)] if gradient is not None else [0, 0]
            for gradient, (_, layout) in zip(gradients, layouts, strict=True)
        ]

    found = _on_images(flat, scores, [name for name, _ in layouts], feeds, sizes)
    return {name: bool(cells > _NONE * every) for (name, _), (cells, every) in zip(layouts, found, strict=True)}


def carriers(
    flat: FlatGraph,
    scores: str,
    start: tuple[str, TokenLayout],
    tensors: Sequence[str],
    feeds: Mapping[str, np.ndarray],
) -> Mapping[str, bool]:
    """Of some tensors, whether all that the scores depend on of the cells of ``start`` goes through each.

    Where a tensor is held fixed, no gradient comes to the cells past it.
    """
    name, layout = start

    def sizes(output: Tensor, mixture: Tensor, cut: Tensor, *others: Tensor) -> list[list[Tensor]]:
        found = []
        for fixed in ([], *([each] for each in others)):
            gradient = tf.gradients(output, cut, mixture, stop_gradients=fixed)[0]
            found.append([_largest(lay_out(gradient, layout)) if gradient is not None else 0])
        return found

    (every,), *past = _on_images(flat, scores, [name, *tensors], feeds, sizes)
    return {tensor: bool(left <= _NONE * every) for tensor, (left,) in zip(tensors, past, strict=True)}


def _largest(tensor: Tensor) -> Tensor:
    return tf.reduce_max(tf.abs(tf.cast(tensor, tf.float32)))


def _on_images(
    flat: FlatGraph, scores: str, names: Sequence[str], feeds: Mapping[str, np.ndarray], compute: object
) -> np.ndarray:
    @tf.function(autograph=False)
    def run(values: dict[str, Tensor]) -> Tensor:
        *tensors, output = splice(flat.graph_def, values, [*names, scores])
        mixture = tf.random.stateless_normal(tf.shape(output), [1, 2], dtype=output.dtype)
        return tf.convert_to_tensor(compute(output, mixture, *tensors), tf.float32)  # type: ignore[operator]

    tensors = {name: tf.constant(array) for name, array in feeds.items()}
    with refusing_failures():
        return run.get_concrete_function(tensors)(tensors).numpy()
