"""The chain of affine operations with constants between the images and the first layer with weights.

Imports TensorFlow. Which operations belong to it is told by their kinds; what they do to the pixels is measured, on
pictures of one colour. Where the image meets itself again (a skip, a gate, a high-pass, its own mean) the chain ends:
what comes behind is the network's own business.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.expectation.ranges import Affine
from transforms.model.graph import (
    FlatGraph,
    NodeDef,
    evaluate,
    made_up_inputs,
    node_name,
    open_inputs,
    operations,
    tensor_name,
)
from transforms.model.tensorflow import tf

LUMA = "luma_of_images"  # scope of what loading puts in front of models of one channel; it is not the model's own

_LAYOUT = (
    operations.SAME_VALUE
    | operations.RESHAPES
    | operations.PADS
    | {"ExpandDims", "Transpose", "StridedSlice", "Slice", "Split", "SplitV", "Unpack", "Pack", "Concat", "ConcatV2"}
    | {"Gather", "GatherV2", "Reverse", "ReverseV2", "BroadcastTo", "Tile"}
    | {"SpaceToDepth", "SpaceToBatchND", "ExtractImagePatches"}
    | {"ResizeBilinear", "ResizeArea", "ResizeBicubic", "ResizeNearestNeighbor", "CropAndResize", "ScaleAndTranslate"}
    | {"ImageProjectiveTransformV2", "ImageProjectiveTransformV3"}
    | {"TensorListFromTensor", "TensorListStack", "TensorListGetItem", "TensorListSetItem"}
)
_AFFINE = frozenset({"Mul", "Add", "AddV2", "Sub", "BiasAdd", "Neg"})
_LOOPS = frozenset({"While", "StatelessWhile"})
_BRIGHT = 65535.0  # large, so that the smallest factor still leaves float32 its digits
_LINEAR = 1e-3


@dataclasses.dataclass(frozen=True)
class Front:
    """What happens to the pixels before the network sees them."""

    affine: Affine | None  # of the whole chain; None where the network sees the image in more than one way
    last_steps: tuple[Affine, ...]  # of the chain without its first operation, without its first two, ...
    nodes: tuple[str, ...]  # that scale or shift, in order


def front_of(flat: FlatGraph, is_inside: Callable[[str], bool] = lambda _: False) -> Front:
    """Find and measure the chain.

    Args:
        flat: takes float images.
        is_inside: whether the node of that name belongs to a module with a contract of its own: the chain ends there.
    """
    chain = _Chain(flat, is_inside)
    if open_inputs(flat) or not chain.is_known:  # a model with open inputs cannot be explained, and the plan says why
        return Front(None, (), ())
    steps = list(dict.fromkeys([flat.input, *chain.steps]))
    values = _measured(flat, [*steps, *chain.ends])
    ends = [values[name] for name in chain.ends]
    nodes = tuple(chain.nodes)
    if not ends or any(end is None for end in ends) or not all(_same(end, ends[0]) for end in ends):
        return Front(None, (), nodes)
    whole = ends[0]
    befores = [values[name] for name in steps[1:]]
    rests = [whole.after(before) for before in befores if before is not None] if whole is not None else []
    return Front(whole, tuple(rest for rest in rests if rest is not None and not rest.is_identity), nodes)


class _Chain:
    """A walk through the graph: which nodes are affine in the image, and what the others read of them."""

    def __init__(self, flat: FlatGraph, is_inside: Callable[[str], bool]):
        self._functions = {function.signature.name: function for function in flat.graph_def.library.function}
        self._is_inside = is_inside
        self.nodes: list[str] = []  # that scale or shift
        self.steps: list[str] = []  # tensors behind each of them, save for loops
        self.ends: list[str] = []  # tensors that something else reads
        self.is_known = True
        nodes = flat.graph_def.node
        _, ends = self._walk(nodes, {node_name(flat.input)}, top=True)
        self.ends = list(dict.fromkeys(ends))

    def _walk(self, nodes: Sequence[NodeDef], start: set[str], top: bool) -> tuple[set[str], list[str]]:
        """The affine nodes behind ``start``, and the affine tensors that other nodes read."""
        affine, dependent, ends = set(start), set(start), list[str]()
        for node in _in_order(nodes):
            if node.name in start or node.op in operations.READS_SHAPE:
                continue
            read = [place for place, name in enumerate(node.input) if node_name(name) in dependent and name[0] != "^"]
            if not read:
                continue
            dependent.add(node.name)
            if top and node.name.startswith(f"{LUMA}/"):
                affine.add(node.name)
                continue
            known = [place for place in read if node_name(node.input[place]) in affine]
            if len(known) == len(read) and not self._is_inside(node.name) and self._stays_affine(node, read):
                affine.add(node.name)
                if top and node.op not in _LAYOUT | {"Cast"}:
                    self.nodes.append(node.name)
                    if node.op not in _LOOPS:
                        self.steps.append(tensor_name(node.name))
                continue
            self.is_known &= node.op not in _LOOPS  # what goes into a loop is a list of pictures: nothing to measure
            ends += [tensor_name(node.input[place]) for place in known]
        return affine, ends

    def _stays_affine(self, node: NodeDef, read: list[int]) -> bool:
        if node.op in _LAYOUT:
            return True
        if node.op == "Cast":
            return tf.as_dtype(node.attr["DstT"].type).is_floating
        if node.op in _AFFINE:
            return len(read) == 1
        if node.op in operations.DIVIDES:
            return read == [0]
        if node.op in operations.BATCH_NORMS:
            return read == [0] and not node.attr["is_training"].b
        return node.op in _LOOPS and self._is_affine_loop(node, read)

    def _is_affine_loop(self, node: NodeDef, read: list[int]) -> bool:
        """``tf.map_fn``, an image at a time: only the list of images is taken apart, and put together again."""
        body = self._functions[node.attr["body"].func.name]
        arguments = [argument.name for argument in body.signature.input_arg]
        affine, ends = self._walk(body.node_def, {arguments[place] for place in read}, top=False)
        returned = [node_name(body.ret[output.name]) for output in body.signature.output_arg]
        changed = [name for name, argument in zip(returned, arguments, strict=True) if name != argument]
        return not ends and any(name in affine for name in changed)


def _in_order(nodes: Sequence[NodeDef]) -> list[NodeDef]:
    """Each node after those that it reads."""
    by_name = {node.name: node for node in nodes}
    ordered: dict[str, NodeDef] = {}
    for node in nodes:
        stack = [node]
        while stack:
            waiting = [
                by_name[name]
                for name in map(node_name, stack[-1].input)
                if name in by_name and name not in ordered and by_name[name] is not stack[-1]
            ]
            if waiting:
                stack += waiting
            else:
                ready = stack.pop()
                ordered[ready.name] = ready
    return list(ordered.values())


def _measured(flat: FlatGraph, tensors: Sequence[str]) -> Mapping[str, Affine | None]:
    """What each tensor has of pictures that are black, red, green, blue and gray; None where that is not affine."""
    shape = next(node for node in flat.graph_def.node if node.name == node_name(flat.input)).attr["shape"].shape
    sizes = [dimension.size for dimension in shape.dim]
    channel_axis = 1 if sizes[1] == 3 and sizes[3] != 3 else 3
    colours = _BRIGHT * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]])
    pictures = np.moveaxis(np.broadcast_to(colours[:, None, None], (5, 2, 2, 3)), 3, channel_axis)
    full = [5, *(size for size in sizes[1:])]
    repeats = [1 if axis in (0, channel_axis) else full[axis] // 2 + 1 for axis in range(4)]
    slices = tuple(slice(size) for size in full)
    images = np.tile(pictures, repeats)[slices].astype(np.float32)
    names = [name for name in dict.fromkeys(tensors) if name != flat.input]
    try:
        feeds = {**flat.weights, node_name(flat.input): images, **made_up_inputs(flat, len(images))}
        found = evaluate(flat.graph_def, feeds, names)
    except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
        raise ModelRefused(f"The operations in front of the network cannot be run on one picture: {error}") from error
    return {flat.input: Affine(np.ones(3), np.zeros(3)), **{name: _affine_of(found[name]) for name in names}}


def _affine_of(values: np.ndarray) -> Affine | None:
    """From the values for black, red, green, blue and gray, ``[5, ...]`` with the channels last or first."""
    if values.ndim < 2 or len(values) != 5 or not np.issubdtype(values.dtype, np.floating):
        return None
    if values.ndim == 4 and values.shape[1] in (1, 3) and values.shape[3] not in (1, 3):
        values = np.moveaxis(values, 1, 3)
    # The median: what a pad adds is at the edge, and a mean image differs from place to place.
    rows = np.median(values.reshape(5, -1, values.shape[-1]).astype(np.float64), axis=1)  # [5, channels]
    black, bright, gray = rows[0], rows[1:4], rows[4]
    matrix = ((bright - black) / _BRIGHT).T  # [channels, 3]
    size = abs(matrix).sum(axis=1).max() * _BRIGHT
    if not np.isfinite(rows).all() or not size:
        return None
    if abs(black + matrix.sum(axis=1) * _BRIGHT / 2 - gray).max() > _LINEAR * size:
        return None
    strongest = abs(matrix).argmax(axis=1)
    if len(matrix) == 1:  # one channel of three
        return Affine(np.repeat(matrix.sum(axis=1), 3), np.repeat(black, 3))
    pure = abs(matrix).max(axis=1) >= 0.99 * abs(matrix).sum(axis=1)
    if not pure.all() or set(strongest) != {0, 1, 2}:
        return None
    places = [int(np.flatnonzero(strongest == channel)[0]) for channel in range(3)]
    scale, offset = matrix[places, range(3)], black[places]
    consistent = np.allclose(scale[strongest], matrix[range(len(matrix)), strongest], rtol=1e-4) and np.allclose(
        offset[strongest], black, rtol=1e-4, atol=1e-6 * size
    )
    return Affine(scale, offset, reverses=places[0] > places[2]) if consistent else None


def _same(first: Affine | None, second: Affine | None) -> bool:
    if first is None or second is None:
        return False
    size = abs(first.scale).max() * _BRIGHT
    return (
        first.reverses == second.reverses
        and np.allclose(first.scale, second.scale, rtol=1e-4)
        and bool(np.allclose(first.offset, second.offset, rtol=1e-4, atol=1e-6 * size))
    )


_CALL = r"(Stateful)?PartitionedCall"
_RESTORED = re.compile(rf"(?:^|/)(?!{_CALL}/)([^/]+)/{_CALL}/{_CALL}/")


def restored_modules(flat: FlatGraph) -> frozenset[str]:
    """The names of the scopes in which a function out of another SavedModel is called: a module of TF Hub, as a rule.

    TensorFlow wraps such a function into another, so that two calls follow each other behind the name of a layer.
    """
    found = set()
    for node in flat.graph_def.node:
        if match := _RESTORED.search(re.sub(rf"^(Func/)?({_CALL}/)*", "", node.name)):
            found.add(match.group(2))
    return frozenset(found)
