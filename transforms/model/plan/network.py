"""The feature maps between the image and the class scores, found in the flat graph. Imports TensorFlow.

A candidate for Grad-CAM is a *cut*: a tensor that every path from the image to the scores goes through, so that the
map accounts for the whole score.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from transforms.model.graph import (
    Graph,
    Operation,
    Tensor,
    consumers,
    node_name,
    operations,
    producers,
    reachable,
    same_value,
)
from transforms.model.plan.grids import over_the_image
from transforms.model.plan.tokens import MOVES_NUMBERS, NO_TOKENS, Tokens, TokenTensor
from transforms.model.plan.work import multiply_adds
from transforms.model.tensorflow import tf

_NO_FEATURES_OF_ITS_OWN = operations.PADS | {"Cast"}


@dataclasses.dataclass(frozen=True)
class FeatureMap:
    """A tensor of the flat graph on which a heatmap can be drawn."""

    name: str  # Keras layer path where one is known, else the tensor's name
    tensor: str
    height: int  # cells
    width: int
    channels: int
    channel_axis: int  # 3 (NHWC) or 1 (NCHW)
    share_behind: float  # of the network's multiply-adds, 0..1, between this map and the scores
    tokens: TokenTensor | None = None  # how its cells lie in the tensor, where that is one of tokens


class Network:
    """The operations between the image and the scores of one flat graph.

    Args:
        layer_tensors: Keras layer path -> names of the tensors that it produced.
        tokens: what :func:`find_tokens` finds between two operations of the graph.
    """

    def __init__(
        self,
        graph: Graph,
        images: str,
        scores: str,
        layer_tensors: Mapping[str, Sequence[str]],
        tokens: Callable[[Sequence[Operation]], Tokens] = lambda order: NO_TOKENS,
    ):
        self.graph = graph
        self.order = _between(graph.get_tensor_by_name(images).op, graph.get_tensor_by_name(scores).op)
        self.position = {operation: i for i, operation in enumerate(self.order)}
        self.tensors_of = _present(graph, layer_tensors)
        self.name_of = _names(self.tensors_of)  # tensor name -> layer path
        self._over_the_image = over_the_image(self.order)
        found = tokens(self.order)
        self._tokens = found.tensors
        self._cost = [multiply_adds(operation, found.shapes) for operation in self.order]
        self.candidates = tuple(
            feature_map
            for tensor in self._cuts()
            if (feature_map := self.feature_map(tensor)) is not None
            and not self._is_half_a_layer(tensor)
            and not (feature_map.tokens and self._only_moves_tokens(tensor))
        )

    def feature_map(self, tensor: Tensor) -> FeatureMap | None:
        """None where the tensor is no map over the image, or comes before the first layer with weights."""
        if tensor.op not in self.position or tensor.op.type in _NO_FEATURES_OF_ITS_OWN:
            return None
        tokens = self._tokens.get(tensor.name)
        is_grid = tensor.shape.rank == 4 and (
            tokens.layout.is_grid if tokens is not None else self.lies_over_the_image(tensor)
        )
        if not tensor.dtype.is_floating or not (is_grid or tokens):
            return None
        position = self.position[tensor.op]
        if not any(operation.type in operations.WEIGHTED for operation in self.order[: position + 1]):
            return None
        if is_grid:
            axis = channel_axis(tensor)
            channels, (height, width) = tensor.shape[axis], [tensor.shape[i] for i in (1, 2, 3) if i != axis]
            tokens = None
        elif tokens is not None:
            layout = tokens.layout
            axis, channels, height, width = layout.channel_axis, layout.channels, layout.height, layout.width
        if None in (channels, height, width) or height * width == 1:
            return None
        behind = reachable(tensor.op, consumers) - {tensor.op}
        share = sum(cost for operation, cost in zip(self.order, self._cost, strict=True) if operation in behind)
        name = self.name_of.get(tensor.name, tensor.name)
        return FeatureMap(name, tensor.name, height, width, channels, axis, share / (sum(self._cost) or 1), tokens)

    def lies_over_the_image(self, tensor: Tensor) -> bool:
        return tensor.op in self._over_the_image

    def operation_of(self, feature_map: FeatureMap) -> Operation:
        return self.graph.get_tensor_by_name(feature_map.tensor).op

    def head_of(self, target: FeatureMap) -> list[Operation]:
        """The operations between a feature map and the scores."""
        start = self.operation_of(target)
        after = reachable(start, consumers)
        return [operation for operation in self.order if operation in after and operation is not start]

    def weighted_layers(self, behind: Iterable[Operation]) -> int:
        """How many layers with weights there are; a kernel counts once, however often an unrolled loop takes it."""
        weighted = [operation for operation in behind if operation.type in operations.WEIGHTED]
        kernels = [operation.inputs[1].op for operation in weighted]
        # In attention two activations are multiplied.
        return len({o if k in self.position else _roots(k) for o, k in zip(weighted, kernels, strict=True)})

    def global_mean_of(self, target: FeatureMap) -> str | None:
        """The tensor ``[B, C]`` or ``[B, 1, 1, C]`` of means over all cells, where the scores see nothing but them."""
        if target.tokens is not None:
            return None
        tensor = self.graph.get_tensor_by_name(target.tensor)
        readers = [consumer for consumer in consumers(tensor.op) if consumer in self.position]
        while len(readers) == 1 and readers[0].type in ("Identity", "Cast"):
            readers = [consumer for consumer in consumers(readers[0]) if consumer in self.position]
        if len(readers) != 1:
            return None
        (reader,) = readers
        spatial = [axis for axis in (1, 2, 3) if axis != target.channel_axis]
        if reader.type == "Mean":
            axes = _static_value(reader.inputs[1])
            is_global = axes is not None and sorted(axis % 4 for axis in axes) == spatial
        elif reader.type == "AvgPool":
            window = [reader.get_attr("ksize")[axis] for axis in spatial]
            is_global = window == [target.height, target.width] and reader.get_attr("padding") == b"VALID"
        else:
            is_global = False
        return reader.outputs[0].name if is_global else None

    def _cuts(self) -> Iterable[Tensor]:
        reach = 0  # how far an edge from an operation before this one goes
        seen = set()
        for i, operation in enumerate(self.order):
            if reach <= i and operation.outputs:
                tensor = same_value(operation.outputs[0])
                if tensor not in seen:
                    seen.add(tensor)
                    yield tensor
            reach = max([reach, *(self.position[c] for c in consumers(operation) if c in self.position)])

    def _only_moves_tokens(self, tensor: Tensor) -> bool:
        """The same numbers in another order, or beside a class token, are no features of their own."""
        if tensor.op.type not in MOVES_NUMBERS:
            return False
        return any(self.feature_map(same_value(source)) is not None for source in tensor.op.inputs)

    def _is_half_a_layer(self, tensor: Tensor) -> bool:
        """Without a name, and only read by a bias or a batch norm: a step inside a layer."""
        readers = [consumer for consumer in tensor.consumers() if consumer in self.position]
        return tensor.name not in self.name_of and all(
            reader.type in operations.SCALES_OR_SHIFTS and sum(i.op in self.position for i in reader.inputs) == 1
            for reader in readers
        )


def channel_axis(tensor: Tensor) -> int:
    """The axis of the channels of a map of rank 4, in the frame of the tensor: 3 (NHWC) or 1 (NCHW).

    Found by following the map back through transposes to an operation that has a data format; NHWC where there is none.
    """
    axes = [0, 1, 2, 3]  # axis of the tensor -> axis of the operation that we are at
    operation, seen = tensor.op, set()
    while operation not in seen:
        seen.add(operation)
        if operation.type in operations.SAYS_FORMAT:
            return axes.index(1 if operation.get_attr("data_format") == b"NCHW" else 3)
        if operation.type == "Transpose":
            permutation = _static_value(operation.inputs[1])
            if permutation is None:
                break
            axes = [permutation[axis] for axis in axes]
        before = [i.op for i in operation.inputs if i.shape.rank == 4 and i.op.type not in ("Const", "Placeholder")]
        if not before:
            break
        operation = before[0]
    return 3


def _static_value(tensor: Tensor) -> list[int] | None:
    value = tf.get_static_value(tensor)
    return None if value is None else np.atleast_1d(value).tolist()


def _between(images: Operation, scores: Operation) -> list[Operation]:
    """The operations on paths from the images to the scores, each after those that it reads."""
    both = reachable(images, lambda o: (c for c in consumers(o) if c.type not in operations.READS_SHAPE))
    both &= reachable(scores, lambda o: (p for p in producers(o) if p.type not in operations.READS_SHAPE))
    waiting = {operation: len(set(producers(operation)) & both) for operation in both}
    ready = [operation for operation, count in waiting.items() if not count]
    order = []
    while ready:
        operation = ready.pop()
        order.append(operation)
        for consumer in set(consumers(operation)) & both:
            waiting[consumer] -= 1
            if not waiting[consumer]:
                ready.append(consumer)
    return order


def _present(graph: Graph, layer_tensors: Mapping[str, Sequence[str]]) -> dict[str, list[Tensor]]:
    """The layers' tensors that the flat graph still has; outputs of what was pruned are gone."""
    operations = {operation.name: operation for operation in graph.get_operations()}
    present: dict[str, list[Tensor]] = {}
    for path, names in layer_tensors.items():
        for name in names:
            operation, index = operations.get(node_name(name)), int(name.partition(":")[2] or 0)
            if operation is not None and index < len(operation.outputs):
                present.setdefault(path, []).append(same_value(operation.outputs[index]))
    return present


def _names(tensors_of: Mapping[str, Sequence[Tensor]]) -> dict[str, str]:
    """Tensor name -> the layer that made it: the innermost, and of those that merely pass it on the first."""
    names: dict[str, str] = {}
    for path, tensors in tensors_of.items():
        for tensor in tensors:
            if tensor.name not in names or path.startswith(names[tensor.name] + "/"):
                names[tensor.name] = path
    return names


def _roots(value: Operation) -> frozenset[Operation]:
    """The weights that something is computed from; the constants where there are none."""
    constants = {operation for operation in reachable(value, producers) if not operation.inputs}
    weights = {operation for operation in constants if operation.type == "Placeholder"}
    return frozenset(weights or constants)
