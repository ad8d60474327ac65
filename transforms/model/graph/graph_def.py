"""Small verbs over GraphDefs that the steps from model to compiled explanation share. Imports TensorFlow.

A weight is a Placeholder in the GraphDef and a numpy array beside it, under the name of the node: a GraphDef
cannot grow beyond 2 GB, a model can.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from transforms.model.graph.operations import SAME_VALUE
from transforms.model.tensorflow import tf

GraphDef: TypeAlias = tf.compat.v1.GraphDef
NodeDef: TypeAlias = tf.compat.v1.NodeDef
Graph: TypeAlias = tf.Graph
Operation: TypeAlias = tf.Operation
Tensor: TypeAlias = tf.Tensor


def node_name(reference: str) -> str:
    """``"^a/b"``, ``"a/b"``, ``"a/b:1"`` -> ``"a/b"``."""
    return reference.lstrip("^").split(":")[0]


def tensor_name(reference: str) -> str:
    """``"a/b"`` -> ``"a/b:0"``; a tensor name stays as it is."""
    return reference if ":" in reference else f"{reference}:0"


def empty_like(graph_def: GraphDef) -> GraphDef:
    """A GraphDef without nodes but with the versions and the function library of another."""
    empty = GraphDef()
    empty.versions.CopyFrom(graph_def.versions)
    empty.library.CopyFrom(graph_def.library)
    return empty


def placeholder(name: str, array: np.ndarray) -> NodeDef:
    """The node that stands for a weight."""
    node = NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = tf.as_dtype(array.dtype).as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
    return node


def constant(name: str, array: np.ndarray) -> NodeDef:
    """A Const node."""
    node = NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(array.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    return node


def ancestors(graph_def: GraphDef, references: Iterable[str]) -> GraphDef:
    """The part of a graph that computes some tensors; control inputs are not followed."""
    nodes = {node.name: node for node in graph_def.node}
    needed: set[str] = set()
    stack = [node_name(reference) for reference in references]
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack += [node_name(i) for i in nodes[name].input if not i.startswith("^")]
    part = empty_like(graph_def)
    part.node.extend(node for node in graph_def.node if node.name in needed)
    return part


def import_graph(graph_def: GraphDef) -> Graph:
    """A ``tf.Graph`` to walk through, with static shapes inferred."""
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
    return graph


def splice(graph_def: GraphDef, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
    """Put a graph into the function that is being traced.

    Args:
        feeds: tensors of the function for nodes of the graph, which are left out.
        fetches: names of tensors.
    """
    # Not public either: importing a graph does not bring in the bodies of its control flow. test_checks.py pins it.
    from tensorflow.python.eager import context

    for function in graph_def.library.function:
        if not context.context().has_function(function.signature.name):
            context.context().add_function_def(function)
    body = empty_like(graph_def)
    # A placeholder left over without a consumer would have to be fed: XLA and SavedModel refuse it.
    body.node.extend(node for node in graph_def.node if node.name not in feeds)
    input_map = {tensor_name(name): value for name, value in feeds.items()}
    return tf.graph_util.import_graph_def(body, input_map, list(fetches), name="model")


def evaluate(graph_def: GraphDef, arrays: Mapping[str, np.ndarray], fetches: Collection[str]) -> dict[str, np.ndarray]:
    """The values of some tensors, every placeholder given as an array."""
    fetches = list(fetches)
    if not fetches:
        return {}
    part = ancestors(graph_def, fetches)
    feeds = {node.name: arrays[node.name] for node in part.node if node.name in arrays}

    @tf.function(autograph=False)
    def run(values: dict[str, Tensor]) -> list[Tensor]:
        return splice(part, values, fetches)

    tensors = {name: tf.constant(array) for name, array in feeds.items()}
    # Called in one go, TensorFlow would warn that something is traced again and again.
    values = run.get_concrete_function(tensors)(tensors)
    return {name: value.numpy() for name, value in zip(fetches, values, strict=True)}


def same_value(tensor: Tensor) -> Tensor:
    """The tensor that this one merely repeats, through identities."""
    while tensor.op.type in SAME_VALUE and tensor.op.inputs:
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


def reachable(start: Operation, following: Callable[[Operation], Iterable[Operation]]) -> set[Operation]:
    """Every operation that can be reached, ``start`` among them."""
    seen: set[Operation] = set()
    stack = [start]
    while stack:
        operation = stack.pop()
        if operation not in seen:
            seen.add(operation)
            stack += following(operation)
    return seen


def consumers(operation: Operation) -> list[Operation]:
    """The operations that read an output of this one."""
    return [consumer for tensor in operation.outputs for consumer in tensor.consumers()]


def producers(operation: Operation) -> list[Operation]:
    """The operations whose outputs this one reads."""
    return [tensor.op for tensor in operation.inputs]
