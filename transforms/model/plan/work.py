"""How much work each operation of a network is. Imports TensorFlow."""

import math
from collections.abc import Mapping

from transforms.model.graph import Operation, operations

_OF_KERNEL = {"Conv2D": slice(3), "Conv3D": slice(4), "DepthwiseConv2dNative": slice(2)}


def multiply_adds(operation: Operation, shapes: Mapping[str, tuple[int, ...]]) -> float:
    """Per image; 0 for whatever is not a convolution or a matrix product.

    Args:
        shapes: of tensors in a run of several images, where there was one; else static shapes count, which say nothing
            of tokens that lie in the first axis beside the images.
    """
    if operation.type not in operations.WEIGHTED:
        return 0
    output, kernel = operation.outputs[0], operation.inputs[1]
    run, sizes = shapes.get(output.name), shapes.get(kernel.name)
    if run is not None and sizes is not None:
        images = next((shape[0] for shape in shapes.values() if shape), 1)
        return math.prod(run) / images * _summed(operation, list(shapes[operation.inputs[0].name]), list(sizes))
    outputs = output.shape[1:].num_elements()
    static = kernel.shape.as_list() if kernel.shape.rank else None
    if outputs is None or not static or None in static:
        return 0
    return outputs * math.prod(static[_OF_KERNEL.get(operation.type, slice(-1))])


def _summed(operation: Operation, left: list[int], right: list[int]) -> int:
    """Products that are added up for each number of the output."""
    if operation.type in _OF_KERNEL:
        return math.prod(right[_OF_KERNEL[operation.type]])
    if operation.type == "Einsum":
        equation = operation.get_attr("equation").decode().replace(" ", "")
        terms, _, result = equation.partition("->")
        if "." not in equation:
            letters = zip(terms.replace(",", ""), [*left, *right], strict=True)
            return math.prod({letter: size for letter, size in letters if letter not in result}.values())
        return left[-1]
    transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return left[-2 if transposed else -1]
