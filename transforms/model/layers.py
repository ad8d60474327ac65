"""Which feature maps a heatmap can be drawn on, found in the flat graph. Imports TensorFlow.

A candidate is a *cut*: a tensor that every path from the image to the scores goes through, so that the map accounts
for the whole score. Of these, Grad-CAM takes the last that still has a spatial grid (arXiv 1610.02391, section 3).
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from transforms.model.errors import ModelRefused
from transforms.model.graphs import (
    Graph,
    Operation,
    Tensor,
    consumers,
    node_name,
    producers,
    reachable,
    same_value,
    tensor_name,
    tf,
)

# They read a tensor's shape, not its values: no gradient and no evidence flows through them.
_READS_SHAPE = frozenset({"Shape", "ShapeN", "Size", "Rank"})
_WEIGHTED = frozenset({"Conv2D", "DepthwiseConv2dNative", "Conv3D", "MatMul", "BatchMatMul", "BatchMatMulV2", "Einsum"})
# The operations that say which axis holds the channels.
_SAYS_FORMAT = frozenset(
    {"Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "BiasAdd"}
    | {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
)
_NO_FEATURES_OF_ITS_OWN = frozenset({"Pad", "PadV2", "MirrorPad"})
_SCALES_OR_SHIFTS = frozenset(
    {"Mul", "Add", "AddV2", "Sub", "BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
)
_POOLING = frozenset({"MaxPool", "MaxPoolV2", "AvgPool"})


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


class Layers:
    """The feature maps between the image and the scores of one flat graph.

    Args:
        layer_tensors: Keras layer path -> names of the tensors that it produced.
    """

    def __init__(self, graph: Graph, images: str, scores: str, layer_tensors: Mapping[str, Sequence[str]]):
        self._graph = graph
        self._order = _between(graph.get_tensor_by_name(images).op, graph.get_tensor_by_name(scores).op)
        self._position = {operation: i for i, operation in enumerate(self._order)}
        self._cost = [_multiply_adds(operation) for operation in self._order]
        self._tensors_of = _present(graph, layer_tensors)
        self._name_of = _names(self._tensors_of)
        self.candidates = tuple(
            feature_map
            for tensor in self._cuts()
            if (feature_map := self._feature_map(tensor)) is not None and not self._is_half_a_layer(tensor)
        )

    def choose(self, wanted: str | int) -> tuple[FeatureMap, str]:
        """The target layer and why it is that one.

        Args:
            wanted: ``auto``, an index into the candidates, a Keras layer path or its end, a tensor's name, or a
                regular expression that fits one name.

        Raises:
            ModelRefused: there is no such feature map, or the name fits several.
        """
        if wanted == "auto":
            return self._last()
        if isinstance(wanted, int) or re.fullmatch(r"-?\d+", wanted):
            return self._at(int(wanted)), f"number {wanted} of the candidates"
        for find, how in (
            (self._by_layer, "the layer of that name"),
            (self._by_tensor, "the tensor of that name"),
            (self._by_scope, "the last feature map in that scope"),
            (self._by_pattern, "the only candidate that fits this pattern"),
        ):
            tensor = find(wanted)
            if tensor is not None:
                return self._checked(wanted, tensor), how
        raise ModelRefused(f"The model has no layer {wanted!r}. {self._remedy()}")

    def head_of(self, target: FeatureMap) -> list[Operation]:
        """The operations between a feature map and the scores."""
        start = self._graph.get_tensor_by_name(target.tensor).op
        after = reachable(start, consumers)
        return [operation for operation in self._order if operation in after and operation is not start]

    def _cuts(self) -> Iterable[Tensor]:
        reach = 0  # how far an edge from an operation before this one goes
        seen = set()
        for i, operation in enumerate(self._order):
            if reach <= i and operation.outputs:
                tensor = same_value(operation.outputs[0])
                if tensor not in seen:
                    seen.add(tensor)
                    yield tensor
            reach = max([reach, *(self._position[c] for c in consumers(operation) if c in self._position)])

    def _feature_map(self, tensor: Tensor) -> FeatureMap | None:
        """None where the tensor is no map, or comes before the first layer with weights."""
        if tensor.op not in self._position or tensor.op.type in _NO_FEATURES_OF_ITS_OWN:
            return None
        if not tensor.dtype.is_floating or tensor.shape.rank != 4:
            return None
        position = self._position[tensor.op]
        if not any(operation.type in _WEIGHTED for operation in self._order[: position + 1]):
            return None
        axis = channel_axis(tensor)
        channels, (height, width) = tensor.shape[axis], [tensor.shape[i] for i in (1, 2, 3) if i != axis]
        if None in (channels, height, width) or height * width == 1:
            return None
        behind = reachable(tensor.op, consumers) - {tensor.op}
        share = sum(cost for operation, cost in zip(self._order, self._cost, strict=True) if operation in behind)
        name = self._name_of.get(tensor.name, tensor.name)
        return FeatureMap(name, tensor.name, height, width, channels, axis, share / (sum(self._cost) or 1))

    def _is_half_a_layer(self, tensor: Tensor) -> bool:
        """Without a name, and only read by a bias or a batch norm: a step inside a layer."""
        readers = [consumer for consumer in tensor.consumers() if consumer in self._position]
        return tensor.name not in self._name_of and all(
            reader.type in _SCALES_OR_SHIFTS and sum(i.op in self._position for i in reader.inputs) == 1
            for reader in readers
        )

    def _last(self) -> tuple[FeatureMap, str]:
        if not self.candidates:
            raise ModelRefused(
                "No feature map with more than one cell lies on every path from the image to the scores, so there is "
                "no layer for a heatmap. Name a layer inside a branch in model.target_layer if the model has one; "
                "models without convolutional features cannot be explained with class activation maps."
            )
        by_tensor = {candidate.tensor: candidate for candidate in self.candidates}
        last = chosen = self.candidates[-1]
        while True:
            operation = self._graph.get_tensor_by_name(chosen.tensor).op
            before = same_value(operation.inputs[0]).name
            if operation.type not in _POOLING | {"Transpose"} or before not in by_tensor:
                break
            chosen = by_tensor[before]
        self._refuse_if_early(chosen)
        if chosen is last:
            return chosen, "the last feature map that every path to the scores goes through"
        return chosen, f"the last feature map before {last.name}, which pools it and adds no features of its own"

    def _refuse_if_early(self, chosen: FeatureMap) -> None:
        """A vision transformer's patch embedding is a feature map, and not one that shows what the model sees."""
        behind = sum(operation.type in _WEIGHTED for operation in self.head_of(chosen))
        before = sum(operation.type in _WEIGHTED for operation in self._order) - behind
        if behind > 8 * before:
            raise ModelRefused(
                f"The last feature map, {chosen.name}, comes after {before} of the network's {before + behind} layers "
                f"with weights: what follows has no spatial grid (a transformer?). Set model.target_layer to "
                f"{chosen.name!r} if you want a heatmap of so early a layer."
            )

    def _at(self, index: int) -> FeatureMap:
        if not -len(self.candidates) <= index < len(self.candidates):
            raise ModelRefused(f"There is no candidate number {index}. {self._remedy()}")
        return self.candidates[index]

    def _by_layer(self, wanted: str) -> Tensor | None:
        paths = [path for path in self._tensors_of if path == wanted] or [
            path for path in self._tensors_of if path.endswith(f"/{wanted}")
        ]
        return self._only(wanted, [tensor for path in paths for tensor in self._tensors_of[path]])

    def _by_tensor(self, wanted: str) -> Tensor | None:
        try:
            return same_value(self._graph.get_tensor_by_name(tensor_name(wanted)))
        except (KeyError, ValueError):  # no such tensor, or not the form of a name
            return None

    def _by_scope(self, wanted: str) -> Tensor | None:
        """Graphs without recorded layers still have their names in the operations' scopes."""
        inside = [c for c in self.candidates if f"/{wanted}/" in f"/{node_name(c.tensor)}"]
        return self._graph.get_tensor_by_name(inside[-1].tensor) if inside else None

    def _by_pattern(self, wanted: str) -> Tensor | None:
        try:
            pattern = re.compile(wanted)
        except re.error:
            return None
        names = [c for c in self.candidates if pattern.search(c.name)] or [
            c for c in self.candidates if pattern.search(c.tensor)
        ]
        return self._only(wanted, [self._graph.get_tensor_by_name(c.tensor) for c in names])

    def _only(self, wanted: str, tensors: Sequence[Tensor]) -> Tensor | None:
        """The tensor of the few that the scores depend on; any, where they depend on none."""
        tensors = list({tensor.name: tensor for tensor in map(same_value, tensors)}.values())
        used = [tensor for tensor in tensors if tensor.op in self._position]
        if len(used) > 1:
            names = ", ".join(f"{self._name_of.get(t.name, '')} {t.name}".strip() for t in used)
            raise ModelRefused(f"{wanted!r} fits several tensors: {names}. Name one of them in model.target_layer.")
        return (used or tensors or [None])[0]

    def _checked(self, wanted: str, tensor: Tensor) -> FeatureMap:
        feature_map = self._feature_map(tensor)
        if feature_map is not None:
            return feature_map
        shape = tensor.shape.as_list() if tensor.shape.rank is not None else None
        if shape is None or len(shape) != 4:
            why = f"has shape {shape}, which is not a feature map [batch, height, width, channels]"
        elif tensor.op not in self._position:
            why = "is not on a path from the image to the scores: the scores do not depend on it"
        elif None in shape[1:]:
            why = f"has shape {shape}: its size is known only when the model runs. Set model.input_size"
        elif math.prod(shape[1:]) == shape[channel_axis(tensor)]:
            why = "has a grid of one cell: nothing can be located on it"
        else:
            why = "comes before the first layer with weights, or only pads"
        raise ModelRefused(f"{wanted!r} ({tensor.name}) {why}. {self._remedy()}")

    def _remedy(self) -> str:
        names = [f"{i} {c.name} ({c.height}x{c.width}x{c.channels})" for i, c in enumerate(self.candidates)][-8:]
        return f"Set model.target_layer to auto or to one of the candidates, the last of which are: {', '.join(names)}."


def channel_axis(tensor: Tensor) -> int:
    """The axis of the channels of a map of rank 4, in the frame of the tensor: 3 (NHWC) or 1 (NCHW).

    Found by following the map back through transposes to an operation that has a data format; NHWC where there is none.
    """
    axes = [0, 1, 2, 3]  # axis of the tensor -> axis of the operation that we are at
    operation, seen = tensor.op, set()
    while operation not in seen:
        seen.add(operation)
        if operation.type in _SAYS_FORMAT:
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
    return None if value is None else [int(axis) for axis in value]


def _between(images: Operation, scores: Operation) -> list[Operation]:
    """The operations on paths from the images to the scores, each after those that it reads."""
    both = reachable(images, lambda o: (c for c in consumers(o) if c.type not in _READS_SHAPE))
    both &= reachable(scores, lambda o: (p for p in producers(o) if p.type not in _READS_SHAPE))
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


def _multiply_adds(operation: Operation) -> int:
    """Per image, from static shapes; 0 for whatever is not a convolution or a matrix product."""
    if operation.type not in _WEIGHTED:
        return 0
    outputs = operation.outputs[0].shape[1:].num_elements()
    kernel = operation.inputs[1].shape.as_list() if operation.inputs[1].shape.rank else None
    if outputs is None or not kernel or None in kernel:
        return 0
    per_output = {"Conv2D": kernel[:3], "Conv3D": kernel[:4], "DepthwiseConv2dNative": kernel[:2]}
    return outputs * math.prod(per_output.get(operation.type, kernel[:-1]))
