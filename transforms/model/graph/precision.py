"""The network in front of the target layer in 16 bits: half the memory traffic of a GPU, and its tensor cores.

What stands behind, scores, gradients and maps, stays float32: there a gradient of 1e-8 counts. Imports TensorFlow.
"""

import dataclasses
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.graph.flatten import FlatGraph
from transforms.model.graph.graph_def import (
    NodeDef,
    Operation,
    Tensor,
    ancestors,
    empty_like,
    import_graph,
    node_name,
    tensor_name,
)
from transforms.model.graph.operations import CAN_BE_NARROW
from transforms.model.tensorflow import tf

_PREFIX = "narrow"


def narrowed_graph(flat: FlatGraph, target: str, dtype: str) -> FlatGraph:
    """The graph with everything that the target layer is computed of in ``float16`` or ``bfloat16``, where it can be.

    Convolutions, products, sums, activations and poolings are; others, such as means, are left in float32, with casts
    between. The target layer's tensor keeps its name and is float32 again.

    Args:
        target: name of the target layer's tensor.

    Raises:
        ModelRefused: there is nothing to narrow.
    """
    trunk = ancestors(flat.graph_def, [target])
    graph = import_graph(trunk)
    narrowing = _Narrowing(flat, tf.as_dtype(dtype))
    for operation in graph.get_operations():  # inputs first
        narrowing.add(operation)
    end = graph.get_tensor_by_name(tensor_name(target))
    if end.value_index or not narrowing.has_narrow:
        raise ModelRefused(f"model.precision: {dtype} changes nothing in front of {target}; say float32.")
    result = narrowing.wide(end)
    replaced = NodeDef(name=node_name(target), op="Identity", input=[result])
    replaced.attr["T"].type = tf.float32.as_datatype_enum
    graph_def = empty_like(flat.graph_def)
    graph_def.node.extend(node for node in flat.graph_def.node if node.name != replaced.name)
    original = next(node for node in flat.graph_def.node if node.name == replaced.name)
    graph_def.node.extend([*narrowing.nodes, replaced])
    if original.op == "Placeholder":
        raise ModelRefused(f"model.precision: {dtype} changes nothing: the target layer is the input; say float32.")
    return dataclasses.replace(flat, graph_def=graph_def)


class _Narrowing:
    """Copies of the operations that depend on the images, narrow or not."""

    def __init__(self, flat: FlatGraph, dtype: tf.DType):
        self.nodes: list[NodeDef] = []
        self.has_narrow = False
        self._dtype = dtype
        self._originals = {node.name: node for node in flat.graph_def.node}
        self._inputs = {node_name(name) for name in flat.inputs}
        self._copied: set[str] = set()
        self._narrow: set[str] = set()  # tensors that are narrow in the copy
        self._casts: set[str] = set()

    def add(self, operation: Operation) -> None:
        if not any(self._depends(tensor) for tensor in operation.inputs):
            return
        copy = NodeDef()
        copy.CopyFrom(self._originals[operation.name])
        copy.name = f"{_PREFIX}/{operation.name}"
        typed = _typed(operation)
        if typed is None:
            inputs = [self.wide(tensor) for tensor in operation.inputs]
        else:
            read, written = typed
            inputs = [
                self._narrowed(tensor) if is_typed else self.wide(tensor)
                for tensor, is_typed in zip(operation.inputs, read, strict=True)
            ]
            copy.attr["T"].type = self._dtype.as_datatype_enum
            outputs = zip(operation.outputs, written, strict=True)
            self._narrow |= {tensor.name for tensor, is_typed in outputs if is_typed}
            self.has_narrow = True
        del copy.input[:]
        copy.input.extend(inputs)
        self.nodes.append(copy)
        self._copied.add(operation.name)

    def wide(self, tensor: Tensor) -> str:
        """The name of a tensor's copy in the type that it has."""
        if tensor.op.name not in self._copied:
            return tensor.name
        copied = f"{_PREFIX}/{tensor.name}"
        return self._cast(copied, tf.float32) if tensor.name in self._narrow else copied

    def _narrowed(self, tensor: Tensor) -> str:
        if tensor.name in self._narrow:
            return f"{_PREFIX}/{tensor.name}"
        return self._cast(self.wide(tensor), self._dtype)

    def _cast(self, name: str, dtype: tf.DType) -> str:
        cast = f"{_PREFIX}/{dtype.name}/{name.replace(':', '_')}"
        if cast not in self._casts:
            node = NodeDef(name=cast, op="Cast", input=[name])
            node.attr["SrcT"].type = (tf.float32 if dtype == self._dtype else self._dtype).as_datatype_enum
            node.attr["DstT"].type = dtype.as_datatype_enum
            self.nodes.append(node)
            self._casts.add(cast)
        return f"{cast}:0"

    def _depends(self, tensor: Tensor) -> bool:
        return tensor.op.name in self._copied or tensor.op.name in self._inputs


def _typed(operation: Operation) -> tuple[list[bool], list[bool]] | None:
    """Which inputs and which outputs are of the operation's own type, where that is to be a narrow one; else None."""
    if operation.type not in CAN_BE_NARROW or operation.get_attr("T") != tf.float32:
        return None
    definition = operation.op_def

    def of(arguments: Any) -> list[bool]:
        return [
            argument.type_attr == "T"
            for argument in arguments
            for _ in range(operation.get_attr(argument.number_attr) if argument.number_attr else 1)
        ]

    return of(definition.input_arg), of(definition.output_arg)
