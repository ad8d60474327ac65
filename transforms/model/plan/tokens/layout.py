"""Which token is which cell of the image, from the places of a tensor. Imports TensorFlow."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from transforms.model.graph import Tensor
from transforms.model.plan.tokens.places import IMAGES, Places
from transforms.model.tensorflow import tf
from transforms.records import Box

_EVEN = 0.1  # of the distance of cells


@dataclasses.dataclass(frozen=True)
class TokenLayout:
    """How a tensor of tokens becomes a grid ``[B, h, w, C]``, and back."""

    batch_axis: int  # of the tensor
    cell_axes: tuple[int, ...]  # their product, in this order, numbers the tokens
    channel_axis: int
    sizes: tuple[int, ...]  # of the cell axes
    cells: tuple[int, ...]  # the token of each cell, row by row
    height: int
    width: int
    channels: int
    covers: Box  # x0, y0, x1, y1 of what the grid covers, in 0..1 of the image that was followed

    @property
    def tokens(self) -> int:
        return math.prod(self.sizes)

    @property
    def others(self) -> tuple[int, ...]:
        """Tokens that lie nowhere: class and distillation tokens, registers, padding."""
        return tuple(sorted(set(range(self.tokens)) - set(self.cells)))

    @property
    def is_grid(self) -> bool:
        """``[B, h, w, C]`` or ``[B, C, h, w]`` already; windows side by side are none."""
        return self.sizes == (self.height, self.width) and list(self.cells) == list(range(self.tokens))

    @property
    def axes(self) -> tuple[int, ...]:
        """The permutation that brings the batch to the front and the channels to the end."""
        return (self.batch_axis, *self.cell_axes, self.channel_axis)


@dataclasses.dataclass(frozen=True)
class TokenTensor:
    """A tensor of tokens, and where they lie."""

    layout: TokenLayout
    from_pixels: bool  # followed from the pixels on; else from the first grid that could be, taken for the whole


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Of a network."""

    tensors: Mapping[str, TokenTensor]
    shapes: Mapping[str, tuple[int, ...]]  # of each tensor of numbers, as a run over a few images gave them


NO_TOKENS = Tokens({}, {})


def lay_out(tensor: Tensor, layout: TokenLayout) -> Tensor:
    """The grid ``[B, h, w, C]`` of a tensor of tokens."""
    return tf.reshape(_taken(as_rows(tensor, layout), layout.cells), [-1, layout.height, layout.width, layout.channels])


def others_of(tensor: Tensor, layout: TokenLayout) -> Tensor:
    """The tokens that are no cells, ``[B, k, C]``."""
    return _taken(as_rows(tensor, layout), layout.others)


def from_grid(grid: Tensor, others: Tensor | None, layout: TokenLayout) -> Tensor:
    """The tensor of tokens again."""
    rows = tf.reshape(grid, [-1, len(layout.cells), layout.channels])
    if others is not None:
        rows = tf.concat([others, rows], axis=1)
    order = np.argsort([*layout.others, *layout.cells])
    rows = _taken(rows, order.tolist())
    by_axes = tf.reshape(rows, [-1, *layout.sizes, layout.channels])
    return _transposed(by_axes, np.argsort(layout.axes).tolist())


def as_rows(tensor: Tensor, layout: TokenLayout) -> Tensor:
    """``[B, tokens, C]``."""
    return tf.reshape(_transposed(tensor, layout.axes), [-1, layout.tokens, layout.channels])


def _transposed(tensor: Tensor, axes: Sequence[int]) -> Tensor:
    return tensor if list(axes) == list(range(len(axes))) else tf.transpose(tensor, axes)


def _taken(rows: Tensor, tokens: Sequence[int]) -> Tensor:
    """A slice where they stand together, which costs less than a gather."""
    if list(tokens) == list(range(rows.shape[1])):
        return rows
    if list(tokens) == list(range(tokens[0], tokens[0] + len(tokens))):
        return rows[:, tokens[0] : tokens[0] + len(tokens)]
    return tf.gather(rows, np.array(tokens, np.int64), axis=1)


def layout_of(places: Places) -> TokenLayout | None:
    """None where the places are not those of a grid, each cell once.

    A tensor ``[B, h, w, C]``, a grid already, has a layout too.
    """
    rank = len(places.shape)
    if rank < 3:
        return None
    batch = next((axis for axis in range(rank) if _is_batch(places, axis)), None)
    if batch is None:
        return None
    free = [axis for axis in reversed(range(rank)) if axis != batch and places.shape[axis] > 1]
    channel = next((axis for axis in free if places.is_constant_along(axis)), None)
    if channel is None:
        return None
    cells = tuple(axis for axis in range(rank) if axis not in (batch, channel))
    y, x = (
        values.transpose(batch, *cells, channel)[0, ..., 0].reshape(-1).astype(np.float64)
        for values in (places.y, places.x)
    )
    known = np.flatnonzero(~np.isnan(y))
    rows, columns = (_levels(values[known]) for values in (y, x))
    if rows is None or columns is None or len(known) != len(rows) * len(columns) or len(known) < 2:
        return None
    row, column = (np.abs(values[known, None] - levels).argmin(axis=1) for values, levels in ((y, rows), (x, columns)))
    number = row * len(columns) + column
    if len(np.unique(number)) != len(known):
        return None
    (top, bottom), (left, right) = _reach(rows), _reach(columns)
    return TokenLayout(
        batch_axis=batch,
        cell_axes=cells,
        channel_axis=channel,
        sizes=tuple(places.shape[axis] for axis in cells),
        cells=tuple(known[np.argsort(number)].tolist()),
        height=len(rows),
        width=len(columns),
        channels=places.shape[channel],
        covers=(left, top, right, bottom),
    )


def _is_batch(places: Places, axis: int) -> bool:
    if places.shape[axis] != IMAGES:
        return False
    return all(
        np.array_equal(each[~np.isnan(each)], np.full((~np.isnan(each)).sum(), number)) and not np.isnan(each).all()
        for number in range(IMAGES)
        for each in [places.image.take(number, axis)]
    )


def _levels(values: np.ndarray) -> np.ndarray | None:
    """The different values, evenly spaced; None where they are not."""
    if not len(values):
        return None
    ordered = np.sort(values)
    new = np.concatenate([[True], np.diff(ordered) > 1e-4])
    levels = np.array([group.mean() for group in np.split(ordered, np.flatnonzero(new)[1:])])
    steps = np.diff(levels)
    return levels if len(steps) == 0 or np.ptp(steps) <= _EVEN * steps.mean() else None


def _reach(levels: np.ndarray) -> tuple[float, float]:
    """Of one row alone nothing is known: the whole."""
    if len(levels) == 1:
        return 0.0, 1.0
    half = (levels[-1] - levels[0]) / (len(levels) - 1) / 2
    return _settled(levels[0] - half), _settled(levels[-1] + half)


def _settled(edge: float) -> float:
    return round(edge, 6) if abs(edge - round(edge)) > 1e-4 else float(round(edge))
