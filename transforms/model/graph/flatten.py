"""Concrete function -> one flat graph: calls inlined, weights kept apart as numpy arrays. Imports TensorFlow.

Everything behind this file sees one kind of model: a GraphDef without function calls, control inputs and variables.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.graph.graph_def import GraphDef, NodeDef, ancestors, empty_like, node_name, placeholder
from transforms.model.graph.lookups import without_lookups
from transforms.model.graph.operations import CALLS
from transforms.model.tensorflow import tf

CUSTOM_GRADIENT = "_had_custom_gradient"
"""Attribute of a node whose ``tf.custom_gradient`` was taken off: the graph's own gradient is used there."""

_NUMBERS = itertools.count()
_LARGE_CONSTANT = 1 << 16  # bytes
_ROUNDS_OF_INLINING = 8  # each opens one more level of nested calls, some passes several
# Set by the trace, and in the way: they keep calls from being inlined, or name what is no longer there.
_IN_THE_WAY = ("_output_shapes", "_XlaMustCompile", "_noinline", "_class", "_lower_using_switch_merge")
_IN_THE_WAY_OF_FUNCTIONS = ("_XlaMustCompile", "_noinline", "api_implements", "_implements")


@dataclasses.dataclass(frozen=True, eq=False)
class FlatGraph:
    """A model as plain operations on one batch of images."""

    # Weights are Placeholders, and so is what is not plain numbers (tables, variables inside control flow); no calls,
    # control inputs, variables or devices.
    graph_def: GraphDef
    weights: dict[str, np.ndarray]  # node name -> value
    input: str  # tensor name of the images
    outputs: tuple[str, ...]  # tensor names
    extra: tuple[str, ...] = ()  # tensor names of the other inputs, one row for each image

    @property
    def inputs(self) -> tuple[str, ...]:
        """What is given for each image."""
        return self.input, *self.extra


def flatten_function(function: Any, extra: int = 0) -> FlatGraph:
    """Flatten a ``tf.types.experimental.ConcreteFunction`` of the images.

    Args:
        extra: how many tensors it takes behind the images, one row of each for an image.

    Raises:
        ModelRefused: it takes more tensors, or calls cannot be inlined.
    """
    inputs = function.inputs[: len(function.inputs) - len(function.captured_inputs)]
    if len(inputs) != 1 + extra:
        names = ", ".join(tensor.name for tensor in inputs)
        raise ModelRefused(
            f"The model has {len(inputs)} inputs ({names}); a heatmap is drawn on one image. Wrap the model in one "
            "that takes the image alone and supplies the others."
        )
    outputs = [tensor.name for tensor in function.outputs]
    fixed = [*(tensor.name for tensor in inputs), *outputs]
    graph_def = without_lookups(ancestors(_inlined(function.graph.as_graph_def(), fixed), fixed))
    weights, first_reads = _weights(graph_def, function)

    flat = empty_like(graph_def)
    for node in graph_def.node:
        if node.name in weights:
            flat.node.append(placeholder(node.name, weights[node.name]))
        elif node.name not in first_reads:
            _copy_without_control_inputs(node, flat, first_reads)
    flat = ancestors(flat, fixed)
    _own_functions(flat)
    kept = {node.name for node in flat.node}
    image, *others = (tensor.name for tensor in inputs)
    return FlatGraph(flat, {n: w for n, w in weights.items() if n in kept}, image, tuple(outputs), tuple(others))


def _inlined(graph_def: GraphDef, fetches: list[str]) -> GraphDef:
    # The only way to inline calls without freezing the weights. Not public: test_flatten.py pins it.
    from tensorflow.python.grappler import tf_optimizer

    _clean(graph_def)
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1
    config.graph_options.rewrite_options.optimizers.append("function")
    for _ in range(_ROUNDS_OF_INLINING):
        if not any(node.op in CALLS for node in graph_def.node):
            return graph_def
        meta_graph = tf.compat.v1.MetaGraphDef(graph_def=graph_def)
        meta_graph.collection_def["train_op"].node_list.value.extend(fetches)
        graph_def = tf_optimizer.OptimizeGraph(config, meta_graph)
        _clean(graph_def)
    calls = ", ".join(node.name for node in graph_def.node if node.op in CALLS)
    raise ModelRefused(
        f"TensorFlow would not inline these function calls: {calls}. They hold variables of TF1 or conditions on its "
        "training switch, are recursive, or are made for another device: export the model with TF2, in inference mode."
    )


def _clean(graph_def: GraphDef) -> None:
    """Take off what belongs to the process that traced, and mark where a custom gradient was."""
    for node in [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]:
        node.device = ""
        if "_gradient_op_type" in node.attr:  # names a Python closure of the first trace
            del node.attr["_gradient_op_type"]
            node.attr[CUSTOM_GRADIENT].b = True
        _remove(node.attr, _IN_THE_WAY)
    for function in graph_def.library.function:
        _remove(function.attr, _IN_THE_WAY_OF_FUNCTIONS)


def _remove(attributes: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if name in attributes:  # reading a missing key of a protobuf map would make it
            del attributes[name]


def open_inputs(flat: FlatGraph) -> list[str]:
    """The nodes, besides the inputs, whose values are not in the flat graph."""
    inputs = set(map(node_name, flat.inputs))
    return [
        node.name
        for node in flat.graph_def.node
        if node.op == "Placeholder" and node.name not in flat.weights and node.name not in inputs
    ]


def made_up_inputs(flat: FlatGraph, count: int) -> dict[str, np.ndarray]:
    """Ones for the other inputs of ``count`` images, by node: a factor of 0 would hide the image behind it."""
    names = set(map(node_name, flat.extra))
    return {
        node.name: np.ones(
            (count, *(dim.size for dim in node.attr["shape"].shape.dim[1:])),
            tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype,
        )
        for node in flat.graph_def.node
        if node.name in names
    }


def _weights(graph_def: GraphDef, function: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The value of every node that reads a variable, is a captured tensor, or is a large constant.

    A variable that is read many times, as in an unrolled loop, is one weight: the second value gives for each further
    node that reads it the first one.
    """
    nodes = {node.name: node for node in graph_def.node}
    placeholders = function.inputs[len(function.inputs) - len(function.captured_inputs) :]
    captured = {p.op.name: value for p, value in zip(placeholders, function.captured_inputs, strict=True)}

    def source(reference: str) -> NodeDef:
        node = nodes[node_name(reference)]
        while node.op == "Identity":
            node = nodes[node_name(node.input[0])]
        return node

    weights: dict[str, np.ndarray] = {}
    first_of: dict[str, str] = {}  # variable -> the node that reads it
    first_reads: dict[str, str] = {}
    for node in graph_def.node:
        if node.op == "ReadVariableOp" and (name := source(node.input[0]).name) in captured:
            if first_of.setdefault(name, node.name) != node.name:
                first_reads[node.name] = first_of[name]
                continue
            variable = captured[name]
            weights[node.name] = tf.raw_ops.ReadVariableOp(resource=variable, dtype=node.attr["dtype"].type).numpy()
        elif node.name in captured and captured[node.name].dtype not in (tf.resource, tf.variant, tf.string):
            weights[node.name] = captured[node.name].numpy()
        elif node.op == "Const" and node.ByteSize() > _LARGE_CONSTANT and node.attr["dtype"].type != tf.string:
            weights[node.name] = tf.make_ndarray(node.attr["value"].tensor)
    return weights, first_reads


def _copy_without_control_inputs(node: NodeDef, graph_def: GraphDef, renamed: dict[str, str]) -> None:
    if node.op == "NoOp":
        return
    copy = graph_def.node.add()
    copy.CopyFrom(node)
    del copy.input[:]
    copy.input.extend(renamed.get(node_name(i), i) for i in node.input if not i.startswith("^"))


def _own_functions(graph_def: GraphDef) -> None:
    """Keep only the bodies of control flow, under new names: the trace takes the old ones with it when it goes."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    names: dict[str, str] = {}

    def rename(nodes: Any) -> None:
        for reference in [reference for node in nodes for reference in _function_references(node)]:
            if reference.name not in names:
                names[reference.name] = f"{reference.name}_flat_{next(_NUMBERS)}"
                rename(functions[reference.name].node_def)
            reference.name = names[reference.name]

    rename(graph_def.node)
    for old, new in names.items():
        functions[old].signature.name = new
    kept = [functions[old] for old in names]
    del graph_def.library.gradient[:]
    del graph_def.library.function[:]
    graph_def.library.function.extend(kept)


def _function_references(node: NodeDef) -> list[Any]:
    values = node.attr.values()
    return [v.func for v in values if v.HasField("func")] + [f for v in values for f in v.list.func]
