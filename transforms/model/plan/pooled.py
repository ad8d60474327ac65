"""Which features stand for an image: what the last layer with weights reads. Imports TensorFlow.

That is the model's own summary of an image, and it is there anyway: behind global average pooling the means of the
last feature map, in a transformer the class token or the mean of the patch tokens behind the last norm, in a network
such as VGG the last hidden layer. Where the classifier reads a whole map, the mean over its cells is taken.
"""

import dataclasses

from transforms.model.graph import Tensor, operations, same_value
from transforms.model.plan.network import Network, channel_axis

_MOST = 8192  # values: beyond, what is read is a map in all but its shape
_STEPS = operations.ELEMENTWISE | operations.RESHAPES | operations.BATCH_NORMS | operations.REDUCES | {"BiasAdd"}


@dataclasses.dataclass(frozen=True)
class PooledFeatures:
    """The features of an image: a tensor, and the axes of its cells, over which the mean is taken."""

    tensor: str
    size: int  # values per image
    cells: tuple[int, ...] = ()  # axes; none: [B, ..., size] as it is


def find_pooled(network: Network, scores: str) -> PooledFeatures | None:
    """What the last layer with weights in front of ``scores`` reads; None where no single tensor is that.

    Whoever gets None takes the mean of the target layer over its cells.
    """
    tensor = same_value(network.graph.get_tensor_by_name(scores))
    while True:
        read = [each for each in tensor.op.inputs if each.op in network.position]
        if len(read) != 1:
            return None
        (before,) = map(same_value, read)
        if tensor.op.type in operations.WEIGHTED:
            return _of_map(before) or _as_it_is(before)
        if tensor.op.type not in _STEPS:
            return None
        tensor = before


def _of_map(tensor: Tensor) -> PooledFeatures | None:
    """Where the tensor is a map of more than one cell, or one flattened."""
    size = _size(tensor)
    while tensor.op.type in operations.RESHAPES and tensor.shape.rank != 4:
        tensor = same_value(tensor.op.inputs[0])
    if tensor.shape.rank != 4 or size is None or _size(tensor) != size:
        return None
    axis = channel_axis(tensor)
    cells = tuple(each for each in (1, 2, 3) if each != axis)
    if all(tensor.shape[each] == 1 for each in cells):
        return None
    return PooledFeatures(tensor.name, tensor.shape[axis], cells)


def _as_it_is(tensor: Tensor) -> PooledFeatures | None:
    """Where the tensor has one row of values for each image."""
    size = _size(tensor)
    if size is None or not 1 < size <= _MOST or max(tensor.shape.as_list()[1:]) != size:
        return None
    return PooledFeatures(tensor.name, size)


def _size(tensor: Tensor) -> int | None:
    """Values per image, where the shape is known."""
    return None if tensor.shape.rank in (None, 0, 1) else tensor.shape[1:].num_elements()
