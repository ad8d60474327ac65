"""Zeros that a convolution can add by itself, instead of an own pass over memory. Imports TensorFlow.

Keras pads before a convolution with stride 2 and then convolves ``VALID``; where the zeros are those of ``SAME``, as
on every even size, the convolution alone gives the same numbers.
"""

from collections.abc import Collection

import numpy as np

from transforms.model.graph.flatten import FlatGraph
from transforms.model.graph.graph_def import Operation, ancestors, empty_like, import_graph, node_name
from transforms.model.graph.operations import CONVOLUTIONS
from transforms.model.tensorflow import tf


def pad_in_convolutions(flat: FlatGraph, keep: Collection[str]) -> FlatGraph:
    """The same graph without the ``Pad`` operations that ``SAME`` convolutions make superfluous.

    Args:
        keep: names of nodes whose values must stay what they are.
    """
    graph = import_graph(flat.graph_def)
    padded = {
        operation.name: node_name(operation.inputs[0].op.inputs[0].name)
        for operation in graph.get_operations()
        if operation.type in CONVOLUTIONS and operation.name not in keep and _is_same(operation)
    }
    graph_def = empty_like(flat.graph_def)
    for node in flat.graph_def.node:
        copy = graph_def.node.add()
        copy.CopyFrom(node)
        if node.name in padded:
            copy.input[0] = padded[node.name]
            copy.attr["padding"].s = b"SAME"
    graph_def = ancestors(graph_def, [*flat.inputs, *keep])
    used = {node.name for node in graph_def.node}
    return FlatGraph(
        graph_def, {n: w for n, w in flat.weights.items() if n in used}, flat.input, flat.outputs, flat.extra
    )


def _is_same(convolution: Operation) -> bool:
    """Whether a ``VALID`` convolution reads an image to which just the zeros of ``SAME`` were added."""
    pad = convolution.inputs[0].op
    if convolution.get_attr("padding") != b"VALID" or pad.type != "Pad":
        return False
    zeros, shape = tf.get_static_value(pad.inputs[1]), pad.inputs[0].shape
    kernel = convolution.inputs[1].shape
    if zeros is None or not kernel[:2].is_fully_defined():
        return False
    rows, columns = (2, 3) if convolution.get_attr("data_format") == b"NCHW" else (1, 2)
    expected = np.zeros((4, 2), np.int64)
    for axis, size in ((rows, kernel[0]), (columns, kernel[1])):
        if shape[axis] is None:
            return False
        stride = convolution.get_attr("strides")[axis]
        reach = (size - 1) * convolution.get_attr("dilations")[axis] + 1
        total = max((-(-shape[axis] // stride) - 1) * stride + reach - shape[axis], 0)
        expected[axis] = total // 2, total - total // 2
    return np.array_equal(zeros, expected)
