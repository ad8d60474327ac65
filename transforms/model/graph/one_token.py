"""Behind a target layer of tokens, only those that the scores read are computed. Imports TensorFlow.

A head that reads the class token alone, ``x[:, 0]`` of ``[B, T, C]``, needs one row of whatever works on each token by
itself: norms, Dense layers, sums, the queries of the last attention; only its keys and values are of all tokens. The
slice is moved towards the input, operation by operation, as far as it goes.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator

from transforms.model.graph import operations
from transforms.model.graph.flatten import FlatGraph
from transforms.model.graph.graph_def import (
    NodeDef,
    Operation,
    Tensor,
    ancestors,
    consumers,
    empty_like,
    import_graph,
    node_name,
    reachable,
    tensor_name,
)
from transforms.model.tensorflow import tf

_SCOPE = "of_one_token"
_EACH_BY_ITSELF = operations.ELEMENTWISE | {"StopGradient"}


def with_read_tokens(flat: FlatGraph, start: str, keep: Collection[str]) -> FlatGraph:
    """The graph with one token in place of all where the part behind ``start`` reads but one; else the same object.

    Args:
        keep: names of tensors that are computed whole.
    """
    graph = import_graph(flat.graph_def)
    behind = reachable(graph.get_tensor_by_name(tensor_name(start)).op, consumers)
    slices = [(o, axis, token) for o in graph.get_operations() if o in behind for axis, token in _one_token(o)]
    whole = {tensor_name(name) for name in (start, *keep)}
    existing = {operation.name for operation in graph.get_operations()}
    replaced: dict[str, str] = {}
    with graph.as_default(), tf.name_scope(_SCOPE):
        for operation, axis, token in slices:
            narrowing = _Narrowing(token, behind, whole)
            row = narrowing.of(operation.inputs[0], axis)
            if narrowing.products:
                replaced[operation.name] = tf.squeeze(row, [axis]).op.name
    if not replaced:
        return flat
    new = [node for node in graph.as_graph_def().node if node.name not in existing]
    graph_def = empty_like(flat.graph_def)
    for node in (*flat.graph_def.node, *new):
        if node.name in replaced:
            node = NodeDef(name=node.name, op="Identity", input=[replaced[node.name]], attr={"T": node.attr["T"]})
        graph_def.node.add().CopyFrom(node)
    # Readers follow what they read: the new nodes come last, and what reads them does so by name.
    fetched = [*flat.inputs, *keep, *flat.outputs]
    present = {node.name for node in graph_def.node}
    part = ancestors(graph_def, [name for name in fetched if node_name(name) in present])
    kept = {node.name for node in part.node}
    return dataclasses.replace(
        flat, graph_def=part, weights={name: array for name, array in flat.weights.items() if name in kept}
    )


def _one_token(operation: Operation) -> Iterator[tuple[int, int]]:
    """Axis and number, where the operation takes one place of one axis and all of the others: ``x[:, 0]``."""
    if operation.type != "StridedSlice" or operation.inputs[0].shape.rank is None:
        return
    rank = operation.inputs[0].shape.rank
    begin, end, strides = (tf.get_static_value(tensor) for tensor in operation.inputs[1:])
    masks = {name: operation.get_attr(f"{name}_mask") for name in ("begin", "end", "shrink_axis", "new_axis")}
    if begin is None or end is None or strides is None or masks["new_axis"] or operation.get_attr("ellipsis_mask"):
        return
    shrunk = [axis for axis in range(len(begin)) if masks["shrink_axis"] >> axis & 1]
    others = [axis for axis in range(len(begin)) if axis not in shrunk]
    are_whole = all(masks["begin"] >> a & 1 and masks["end"] >> a & 1 and strides[a] == 1 for a in others)
    if len(shrunk) == 1 and 0 < shrunk[0] < rank - 1 and begin[shrunk[0]] >= 0 and are_whole:
        yield shrunk[0], int(begin[shrunk[0]])


class _Narrowing:
    """Tensors of which one place of one axis is kept, as an axis of one."""

    def __init__(self, token: int, behind: Collection[Operation], whole: Collection[str]):
        self.products = 0  # matrix products that became smaller
        self._token, self._behind, self._whole = token, behind, whole
        self._known: dict[tuple[str, int], Tensor] = {}

    def of(self, tensor: Tensor, axis: int) -> Tensor:
        key = (tensor.name, axis)
        if key not in self._known:
            rule = self._rule(tensor, axis)
            self._known[key] = self._slice(tensor, axis) if rule is None else rule()
        return self._known[key]

    def _rule(self, tensor: Tensor, axis: int) -> Callable[[], Tensor] | None:
        """What makes the row of a tensor from rows of its operands; None: it is cut out of the whole tensor."""
        operation, shape = tensor.op, tensor.shape
        if operation not in self._behind or tensor.name in self._whole or shape.rank is None:
            return None
        kind = operation.type
        if any(operand.shape.rank is None for operand in operation.inputs):
            return None
        if kind in _EACH_BY_ITSELF or (kind == "BiasAdd" and axis < shape.rank - 1):
            return lambda: self._again(operation, [self._aligned(x, axis, shape.rank) for x in operation.inputs])
        if kind == "Softmax" and axis < shape.rank - 1:
            return lambda: self._again(operation, [self.of(operation.inputs[0], axis)])
        if kind in ("Mean", "Max", "Sum"):
            return self._reduced(operation, axis)
        if kind == "Transpose" and (order := tf.get_static_value(operation.inputs[1])) is not None:
            source, permutation = operation.inputs
            return lambda: self._again(operation, [self.of(source, int(order[axis])), permutation])
        if kind in ("BatchMatMulV2", "BatchMatMulV3") and axis == shape.rank - 2 and not operation.get_attr("adj_x"):
            return lambda: self._product(operation, [self.of(operation.inputs[0], axis), operation.inputs[1]])
        if kind == "Einsum":
            return self._einsum(operation, axis)
        return self._reshaped(operation, axis) if kind == "Reshape" else None

    def _slice(self, tensor: Tensor, axis: int) -> Tensor:
        window = [slice(None)] * axis + [slice(self._token, self._token + 1)]
        return tensor[tuple(window)]

    def _aligned(self, tensor: Tensor, axis: int, rank: int) -> Tensor:
        """An operand that is broadcast along the axis stays as it is."""
        own = axis - (rank - tensor.shape.rank)
        return tensor if own < 0 or tensor.shape[own] == 1 else self.of(tensor, own)

    def _again(self, operation: Operation, inputs: list[Tensor]) -> Tensor:
        """The same operation on other operands."""
        attributes = {name: value for name, value in operation.node_def.attr.items() if not name.startswith("_")}
        types = [output.dtype for output in operation.outputs]
        made = operation.graph.create_op(operation.type, inputs, types, attrs=attributes, name=operation.type)
        return made.outputs[0]

    def _product(self, operation: Operation, inputs: list[Tensor]) -> Tensor:
        self.products += 1
        return self._again(operation, inputs)

    def _reduced(self, operation: Operation, axis: int) -> Callable[[], Tensor] | None:
        source, axes = operation.inputs[0], tf.get_static_value(operation.inputs[1])
        if axes is None or source.shape.rank is None or not operation.get_attr("keep_dims"):
            return None
        if axis in {int(each) % source.shape.rank for each in axes.reshape(-1)}:
            return None
        return lambda: self._again(operation, [self.of(source, axis), operation.inputs[1]])

    def _einsum(self, operation: Operation, axis: int) -> Callable[[], Tensor] | None:
        equation = operation.get_attr("equation").decode().replace(" ", "")
        terms, _, result = equation.partition("->")
        if "." in equation or not result:
            return None
        places = [term.find(result[axis]) for term in terms.split(",")]
        return lambda: self._product(
            operation,
            [x if place < 0 else self.of(x, place) for x, place in zip(operation.inputs, places, strict=True)],
        )

    def _reshaped(self, operation: Operation, axis: int) -> Callable[[], Tensor] | None:
        """Only what stands behind the tokens is split or joined; or rows of all tokens come back from a product."""
        source, shape = operation.inputs[0], operation.outputs[0].shape.as_list()
        behind = shape[axis + 1 :]
        if axis != 1 or None in behind:
            return None
        if source.shape.rank is not None and source.shape.rank > 2 and source.shape[1] == shape[1] is not None:
            return lambda: tf.reshape(self.of(source, 1), [-1, 1, *behind])
        product = source.op
        if product.type != "MatMul" or product.get_attr("transpose_a") or len(behind) != 1:
            return None
        rows = product.inputs[0].op
        tokens = rows.inputs[0] if rows.type == "Reshape" else None
        if tokens is not None and tokens.op.type == "Transpose":  # of tf.tensordot, which moves nothing here
            order = tf.get_static_value(tokens.op.inputs[1])
            tokens = tokens.op.inputs[0] if order is not None and order.tolist() == sorted(order) else None
        if tokens is None or tokens.shape.rank != 3 or tokens.shape[2] is None:
            return None

        def multiplied() -> Tensor:
            flat = tf.reshape(self.of(tokens, 1), [-1, tokens.shape[2]])
            return tf.reshape(self._product(product, [flat, product.inputs[1]]), [-1, 1, *behind])

        return multiplied
