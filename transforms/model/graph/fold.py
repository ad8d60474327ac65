"""Everything that does not depend on the image computed once, and batch norms folded into convolutions.

Imports TensorFlow. In inference a batch norm is ``x * scale + offset`` per channel, whatever operations it was
written with, and ``conv(x, w) * scale + offset`` is ``conv(x, w * scale) + offset``: one pass over memory, not three.
"""

import collections
import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from transforms.model.graph.flatten import FlatGraph
from transforms.model.graph.graph_def import (
    NodeDef,
    ancestors,
    constant,
    consumers,
    empty_like,
    evaluate,
    import_graph,
    node_name,
    placeholder,
    reachable,
    tensor_name,
)
from transforms.model.graph.operations import BATCH_NORMS, CONVOLUTIONS
from transforms.model.graph.same_padding import pad_in_convolutions
from transforms.model.tensorflow import tf

_SMALL = 1024  # bytes; small arrays stay in the graph, where shapes and permutations are read from them


def fold_graph(flat: FlatGraph, keep: Collection[str]) -> FlatGraph:
    """The same graph with fewer operations.

    Args:
        keep: names of tensors that must still be there under their names.
    """
    names = {node_name(name) for name in keep}
    return _fold_convolutions(pad_in_convolutions(precompute(flat, keep), names), names)


def precompute(flat: FlatGraph, keep: Collection[str]) -> FlatGraph:
    """Replace whatever does not depend on the image by its value."""
    graph = import_graph(flat.graph_def)
    dependent = set().union(*(reachable(graph.get_tensor_by_name(name).op, consumers) for name in flat.inputs))
    for operation in graph.get_operations():  # handles of lists and tables have no value to replace them by
        if any(output.dtype in (tf.resource, tf.variant) for output in operation.outputs):
            dependent |= reachable(operation, consumers)
    names = {operation.name for operation in dependent}
    known = {
        tensor_name(i)
        for node in flat.graph_def.node
        if node.name in names
        for i in node.input
        if node_name(i) not in names
    }
    weights = {name: flat.weights[node_name(name)] for name in known if node_name(name) in flat.weights}
    weights |= evaluate(flat.graph_def, flat.weights, known - weights.keys())
    renamed = {name: name if name.endswith(":0") else name.replace(":", "_") + ":0" for name in known}

    graph_def, kept = empty_like(flat.graph_def), {}
    for name, array in sorted(weights.items()):
        node = node_name(renamed[name])
        small = array.nbytes <= _SMALL
        graph_def.node.append(constant(node, array) if small else placeholder(node, array))
        if not small:
            kept[node] = array
    for node in flat.graph_def.node:
        if node.name in names:
            copy = graph_def.node.add()
            copy.CopyFrom(node)
            copy.input[:] = [node_name(renamed[tensor_name(i)]) if tensor_name(i) in known else i for i in node.input]
    return FlatGraph(ancestors(graph_def, [*flat.inputs, *keep]), kept, flat.input, flat.outputs, flat.extra)


@dataclasses.dataclass
class _Affine:
    """``y = x * scale + offset`` per channel, and the nodes that it stands for."""

    scale: np.ndarray  # float64 [channels]
    offset: np.ndarray
    nodes: list[str]


def _fold_convolutions(flat: FlatGraph, keep: Collection[str]) -> FlatGraph:
    nodes = {node.name: node for node in flat.graph_def.node}
    arrays = flat.weights | {
        name: tf.make_ndarray(node.attr["value"].tensor) for name, node in nodes.items() if node.op == "Const"
    }
    readers: dict[str, list[str]] = collections.defaultdict(list)
    for node in flat.graph_def.node:
        for reference in node.input:
            readers[node_name(reference)].append(node.name)

    weights, replaced, dropped = dict(flat.weights), {}, set()
    for node in flat.graph_def.node:
        if node.op not in CONVOLUTIONS or node_name(node.input[1]) not in arrays:
            continue
        kernel = arrays[node_name(node.input[1])]
        affine = _affine_after(node, kernel, nodes, arrays, readers, keep)
        if not affine.nodes:
            continue
        channels = kernel.shape[2:] if node.op == "DepthwiseConv2dNative" else kernel.shape[3:]
        weights[f"{node.name}/folded_kernel"] = (kernel * affine.scale.reshape(channels)).astype(kernel.dtype)
        weights[f"{node.name}/folded_bias"] = affine.offset.astype(kernel.dtype)
        dropped |= set(affine.nodes)
        replaced[node.name] = _convolution_and_bias(node, last=affine.nodes[-1])

    graph_def = empty_like(flat.graph_def)
    graph_def.node.extend(placeholder(name, array) for name, array in weights.items() if name not in nodes)
    for node in flat.graph_def.node:
        if node.name not in dropped:
            graph_def.node.extend(replaced.get(node.name, [node]))
    graph_def = ancestors(graph_def, [*flat.inputs, *keep])
    used = {node.name for node in graph_def.node}
    return FlatGraph(graph_def, {n: w for n, w in weights.items() if n in used}, flat.input, flat.outputs, flat.extra)


def _affine_after(
    convolution: NodeDef,
    kernel: np.ndarray,
    nodes: Mapping[str, NodeDef],
    arrays: Mapping[str, np.ndarray],
    readers: Mapping[str, list[str]],
    keep: Collection[str],
) -> _Affine:
    """The chain of per-channel operations that alone read a convolution's output, as one."""
    depthwise = convolution.op == "DepthwiseConv2dNative"
    channels = kernel.shape[2] * kernel.shape[3] if depthwise else kernel.shape[3]
    axis = 1 if convolution.attr["data_format"].s == b"NCHW" else 3
    affine = _Affine(np.ones(channels), np.zeros(channels), [])
    current = convolution.name
    while current not in keep and len(readers[current]) == 1:
        node = nodes[readers[current][0]]
        step = _step(node, current, channels, axis, arrays)
        # A batch norm in inference passes statistics on as well; nothing but its first output may be in use.
        if step is None or any(f"{node.name}:" in i for reader in readers[node.name] for i in nodes[reader].input):
            break
        scale, offset = step
        affine.scale, affine.offset = affine.scale * scale, affine.offset * scale + offset
        affine.nodes.append(node.name)
        current = node.name
    return affine


def _step(
    node: NodeDef, current: str, channels: int, axis: int, arrays: Mapping[str, np.ndarray]
) -> tuple[Any, Any] | None:
    """Scale and offset, each per channel, by which a node changes its input ``current``; None for other nodes."""
    if node.op == "Identity":
        return 1.0, 0.0
    if node.op in BATCH_NORMS and not node.attr["is_training"].b and node_name(node.input[0]) == current:
        parameters = [arrays.get(node_name(i)) for i in node.input[1:5]]
        if any(parameter is None for parameter in parameters):
            return None
        gamma, beta, mean, variance = (np.asarray(p, np.float64) for p in parameters)
        scale = gamma / np.sqrt(variance + node.attr["epsilon"].f)
        return scale, beta - mean * scale
    if node.op not in ("Mul", "AddV2", "Add", "Sub", "RealDiv", "BiasAdd"):
        return None
    first = node_name(node.input[0]) == current
    value = arrays.get(node_name(node.input[1 if first else 0]))
    vector = (
        None
        if value is None
        else _per_channel(value, channels, 3 if value.ndim == 1 and node.op == "BiasAdd" else axis)
    )
    if vector is None:
        return None
    if node.op == "Mul":
        return vector, 0.0
    if node.op == "RealDiv":
        return (1 / vector, 0.0) if first else None
    if node.op == "Sub":
        return (1.0, -vector) if first else (-1.0, vector)
    return 1.0, vector


def _per_channel(value: np.ndarray, channels: int, axis: int) -> np.ndarray | None:
    """An operand that is broadcast over everything but the channels, as float64 ``[channels]``."""
    if value.ndim > 4:
        return None
    moved = np.moveaxis(value.reshape((1,) * (4 - value.ndim) + value.shape), axis, 3)
    if moved.shape[:3] != (1, 1, 1) or moved.shape[3] not in (1, channels):
        return None
    return np.broadcast_to(moved.reshape(-1).astype(np.float64), (channels,))


def _convolution_and_bias(convolution: NodeDef, last: str) -> list[NodeDef]:
    """The convolution with its new kernel, and a bias under the name of the node whose value it now has."""
    folded = NodeDef()
    folded.CopyFrom(convolution)
    folded.input[1] = f"{convolution.name}/folded_kernel"
    bias = NodeDef(name=last, op="BiasAdd", input=[convolution.name, f"{convolution.name}/folded_bias"])
    bias.attr["T"].CopyFrom(convolution.attr["T"])
    bias.attr["data_format"].s = convolution.attr["data_format"].s or b"NHWC"
    return [folded, bias]
