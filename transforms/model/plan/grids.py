"""Which operations give something that still lies over the image: not every tensor of rank 4 does.

The tokens of an attention layer, ``[batch, tokens, heads, depth]``, have left the image, and come back to it where they
are laid out as a grid again. Imports TensorFlow.
"""

from collections.abc import Sequence

from transforms.model.graph import Operation, Tensor, operations
from transforms.model.tensorflow import tf


def over_the_image(order: Sequence[Operation]) -> set[Operation]:
    """The operations whose output, if it is of rank 4, is a grid over the image.

    Args:
        order: the operations between image and scores, each after those that it reads; the first gives the image.
    """
    among, found = set(order), set(order[:1])
    for operation in order[1:]:
        sources = [tensor for tensor in operation.inputs if tensor.op in among]
        if any(_keeps_the_grid(operation, source, source.op in found) for source in sources):
            found.add(operation)
    return found


def _keeps_the_grid(operation: Operation, source: Tensor, is_grid: bool) -> bool:
    results = [shape for shape in map(_shape, operation.outputs) if shape.rank in (None, 4)]
    if not results:
        return False
    if results[0].rank is None or _shape(source).rank is None:
        return is_grid
    before, after = source.shape.as_list(), results[0].as_list()
    same_cells = before[1:3] == after[1:3]
    if operation.type == "Reshape":
        # [B, N, C] -> [B, h, w, C], not -> [B, N, heads, C / heads]
        return same_cells or (before[-1] == after[-1] and 1 not in after[1:3])
    if operation.type in operations.MATRIX_PRODUCTS or len(before) != 4:
        return same_cells and (is_grid or len(before) != 4)
    return is_grid


def _shape(tensor: Tensor) -> tf.TensorShape:
    """That of what is in it: of a list, as in ``tf.map_fn``, it is not known."""
    return tf.TensorShape(None) if tensor.dtype == tf.variant else tensor.shape
