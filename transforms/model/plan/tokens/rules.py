"""What each operation of TensorFlow does to the places of its input. Imports TensorFlow.

A rule takes the operation, the places of its inputs (None where there are none) and what is known from a run, and gives
the places of its outputs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from transforms.model.graph import Operation, names, operations
from transforms.model.plan.tokens.places import IMAGES, Places, extent, lattice
from transforms.model.tensorflow import tf

Known = Sequence[Places | None]
"""Of each input of an operation."""

MOVES_NUMBERS = names(
    """
    Reshape Transpose ConcatV2 StridedSlice Slice Pad PadV2 MirrorPad GatherV2 GatherNd Split SplitV Pack Unpack
    ExpandDims Squeeze Tile BroadcastTo SpaceToDepth DepthToSpace SpaceToBatchND BatchToSpaceND ReverseV2 Roll
    ExtractImagePatches
    """
)
_CALLED = {"dim": "axis", "split_dim": "axis", "squeeze_dims": "axis"}  # in a graph, and in tf.raw_ops
_KEEPS = (
    operations.ELEMENTWISE
    | operations.SAME_VALUE
    | operations.BATCH_NORMS
    | {"BiasAdd", "Softmax", "LogSoftmax", "Erf", "Sin", "Cos", "Mod", "FloorMod", "Rint"}
)
_RESIZES = frozenset({"ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"})
_ADDS_UP = frozenset({"Mean", "Sum", "Max", "Min", "Prod"})


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """What a run over blank images told."""

    shapes: Mapping[str, tuple[int, ...]]  # tensor name -> shape
    numbers: Mapping[str, np.ndarray]  # tensor name -> value, of what says how to move


Rule = Callable[[Operation, Known, Seen], list[Places | None]]


def rule_of(operation: Operation) -> Rule | None:
    kind = operation.type
    if kind in MOVES_NUMBERS:
        return moved
    if kind in operations.CONVOLUTIONS | operations.POOLS | _RESIZES:
        return on_grid
    if kind in _ADDS_UP:
        return added_up
    if kind in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        return multiplied
    if kind == "Einsum":
        return summed_by_letters
    return kept if kind in _KEEPS else None


def kept(operation: Operation, inputs: Known, seen: Seen) -> list[Places | None]:
    """Each number stays where it is; of several inputs the one with the most places counts: a skip, not its branch."""
    shape = seen.shapes[operation.outputs[0].name]
    best: Places | None = None
    for places in {id(each): each for each in inputs if each is not None}.values():
        wide = places if places.shape == shape else places.map(lambda v: np.broadcast_to(v, shape))
        if best is None or (not _same(best, wide) and wide.spread() > best.spread()):
            best = wide
    return [best]


def _same(one: Places, other: Places) -> bool:
    pairs = ((one.y, other.y), (one.x, other.x))
    return all(a is b or np.allclose(a, b, rtol=0, atol=1e-5, equal_nan=True) for a, b in pairs)


def moved(operation: Operation, inputs: Known, seen: Seen) -> list[Places | None]:
    """The operation itself, run on the places."""
    components = [
        _run(operation, [getattr(places, part) if places is not None else None for places in inputs], seen)
        for part in ("y", "x", "image")
    ]
    return [Places(*parts) for parts in zip(*components, strict=True)]


def _run(operation: Operation, values: Sequence[np.ndarray | None], seen: Seen) -> list[np.ndarray]:
    given = []
    for tensor, value in zip(operation.inputs, values, strict=True):
        if value is not None:
            given.append(np.ascontiguousarray(value))
        elif tensor.name in seen.numbers:
            given.append(seen.numbers[tensor.name])
        else:
            given.append(np.full(seen.shapes[tensor.name], np.nan, np.float32))
    kind, definition = operation.type, operation.op_def
    if kind in operations.PADS:
        return [_padded(given[0], given[1])]
    arguments: dict[str, Any] = {}
    for argument in definition.input_arg:
        count = operation.get_attr(argument.number_attr) if argument.number_attr else None
        arguments[_CALLED.get(argument.name, argument.name)] = (
            given.pop(0) if count is None else [given.pop(0) for _ in range(count)]
        )
    inferred = {argument.number_attr for argument in definition.input_arg}
    for attribute in definition.attr:
        if attribute.type not in ("type", "list(type)") and attribute.name not in inferred:
            arguments[_CALLED.get(attribute.name, attribute.name)] = operation.get_attr(attribute.name)
    result = getattr(tf.raw_ops, kind)(**arguments)
    return [each.numpy() for each in (result if isinstance(result, list | tuple) else [result])]


def _padded(values: np.ndarray, paddings: np.ndarray) -> np.ndarray:
    """A grid goes on beyond the image; what is added to a row of tokens has no place."""
    if values.ndim != 4:
        return np.pad(values, paddings, constant_values=np.nan)
    for axis, (before, after) in enumerate(paddings.tolist()):
        if before or after:
            size = values.shape[axis]
            first, last = values.take([0], axis), values.take([-1], axis)
            step = (last - first) / max(size - 1, 1)
            shape = [-1 if i == axis else 1 for i in range(4)]
            ahead = np.arange(-before, 0, dtype=np.float32).reshape(shape)
            behind = np.arange(1, after + 1, dtype=np.float32).reshape(shape)
            values = np.concatenate([first + ahead * step, values, last + behind * step], axis=axis)
    return values


def on_grid(operation: Operation, inputs: Known, seen: Seen) -> list[Places | None]:
    """A grid of the output's size over what the input covers.

    Half a cell that a stride or a VALID border moves it by is left alone, as in :mod:`transforms.model.plan.geometry`.
    """
    places, shape = inputs[0], seen.shapes[operation.outputs[0].name]
    if places is None or len(shape) != 4 or shape[0] != places.shape[0]:
        return [None]
    formatted = operation.type not in _RESIZES and operation.type != "MaxPoolV2"
    axis = 1 if formatted and operation.get_attr("data_format") == b"NCHW" else 3
    if operation.type in operations.CONVOLUTIONS and _is_pointwise(operation):
        middle = places.mean([axis], keepdims=True)
        return [middle.map(lambda values: np.broadcast_to(values, shape))]
    reach = extent(places, axis) if shape[0] == IMAGES else None
    if reach is None:
        return [None]
    height, width = (shape[i] for i in (1, 2, 3) if i != axis)
    return [lattice(height, width, *reach, channels=shape[axis], channel_axis=axis)]


def _is_pointwise(operation: Operation) -> bool:
    kernel = operation.inputs[1].shape
    return kernel.rank == 4 and kernel[:2].as_list() == [1, 1] and set(operation.get_attr("strides")) == {1}


def added_up(operation: Operation, inputs: Known, seen: Seen) -> list[Places | None]:
    """Over axes along which nothing changes its place; else the result lies nowhere in particular."""
    places = inputs[0]
    if places is None:
        return [None]
    rank = len(places.shape)
    axes = sorted({int(axis) % rank for axis in np.atleast_1d(seen.numbers[operation.inputs[1].name])})
    if not all(places.is_constant_along(axis) for axis in axes):
        return [None]
    return [places.mean(axes, keepdims=operation.get_attr("keep_dims"))]


def multiplied(operation: Operation, inputs: Known, seen: Seen) -> list[Places | None]:
    """The rows of the left operand, or the columns of the right one, keep their places."""
    shape, (left, right) = seen.shapes[operation.outputs[0].name], inputs[:2]
    if (left is None) == (right is None):
        return [None]
    is_left = left is not None
    places = left if is_left else right
    assert places is not None
    plain = operation.type == "MatMul"
    names = ("transpose_a", "transpose_b") if plain else ("adj_x", "adj_y")
    transposed = operation.get_attr(names[0 if is_left else 1])
    summed = len(places.shape) - (1 if is_left != transposed else 2)
    middle = places.mean([summed], keepdims=True)
    if transposed:
        middle = middle.map(lambda values: np.swapaxes(values, -1, -2))
    return [_if_somewhere(middle.map(lambda values: np.broadcast_to(values, shape)))]


def summed_by_letters(operation: Operation, inputs: Known, seen: Seen) -> list[Places | None]:
    known = [i for i, places in enumerate(inputs) if places is not None]
    if len(known) != 1:
        return [None]
    places = inputs[known[0]]
    assert places is not None
    equation = operation.get_attr("equation").decode().replace(" ", "")
    terms, _, result = equation.partition("->")
    own, shape = terms.split(",")[known[0]], seen.shapes[operation.outputs[0].name]
    if "..." in equation:
        spare = [letter for letter in "ABCDEFGHIJKLMNOP" if letter not in equation]
        letters = "".join(spare[: len(places.shape) - len(own.replace("...", ""))])
        own, result = own.replace("...", letters), result.replace("...", letters)
    if not re.fullmatch(r"[A-Za-z]*", own + result) or len(set(own)) != len(own) or len(result) != len(shape):
        return [None]
    middle = places.mean([i for i, letter in enumerate(own) if letter not in result])
    left = [letter for letter in own if letter in result]
    order = [left.index(letter) for letter in result if letter in left]
    new = [i for i, letter in enumerate(result) if letter not in left]
    aligned = middle.map(lambda values: np.expand_dims(values.transpose(order), new))
    return [_if_somewhere(aligned.map(lambda values: np.broadcast_to(values, shape)))]


def _if_somewhere(places: Places) -> Places | None:
    """None where everything is in the middle of everything."""
    return places if places.spread() > 1 else None
