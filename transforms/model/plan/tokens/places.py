"""Where in the image each number of a tensor comes from. No TensorFlow here.

A *place* is y and x in 0..1 of the model input, and the number of the image in the batch. Places go through a network
in place of values: what moves numbers moves their places, what computes on each number leaves them alone, what adds up
several, as a patch embedding does, stands in their middle. What has no place, a class token or padding, is NaN.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence

import numpy as np

IMAGES = 2
"""In the batch that is followed: enough to tell the axis of the batch from the others."""


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """Of one tensor; three arrays of its shape, float32, NaN where there is none."""

    y: np.ndarray
    x: np.ndarray
    image: np.ndarray  # 0 .. IMAGES - 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.y.shape

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Places:
        return Places(function(self.y), function(self.x), function(self.image))

    def mean(self, axes: Sequence[int], keepdims: bool = False) -> Places:
        """The middle of what lies along some axes; of what has a place there."""
        return self.map(lambda values: _mean(values, axes, keepdims))

    def is_constant_along(self, axis: int) -> bool:
        return all(_is_constant(values, axis) for values in (self.y, self.x, self.image))

    def spread(self) -> int:
        """How many different places there are in the first image of the batch."""
        known = ~np.isnan(self.y) & (self.image == 0)
        pairs = np.stack([self.y[known], self.x[known]], axis=1).round(4)
        return len(np.unique(pairs, axis=0))


def lattice(
    height: int, width: int, rows: tuple[float, float], columns: tuple[float, float], channels: int, channel_axis: int
) -> Places:
    """A grid that covers from ``rows[0]`` to ``rows[1]`` of the image, and so on, of rank 4."""
    y = rows[0] + (np.arange(height, dtype=np.float32) + 0.5) / height * (rows[1] - rows[0])
    x = columns[0] + (np.arange(width, dtype=np.float32) + 0.5) / width * (columns[1] - columns[0])
    image = np.arange(IMAGES, dtype=np.float32)
    shape = (IMAGES, channels, height, width) if channel_axis == 1 else (IMAGES, height, width, channels)
    last = () if channel_axis == 1 else (1,)  # axes behind the columns
    return Places(
        np.broadcast_to(y.reshape(-1, 1, *last), shape),
        np.broadcast_to(x.reshape(-1, *last), shape),
        np.broadcast_to(image.reshape(-1, 1, 1, 1), shape),
    )


def extent(places: Places, channel_axis: int) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """From where to where a grid of rank 4 reaches, rows and columns; None where it is no regular grid.

    A border without places, as a pad leaves it, does not count.
    """
    flat = places.mean([channel_axis])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rows without places
        lines = np.nanmean(flat.y[0], axis=1), np.nanmean(flat.x[0], axis=0)
        off = max(np.nanmax(np.abs(flat.y[0] - lines[0][:, None])), np.nanmax(np.abs(flat.x[0] - lines[1][None])))
    if not off < 1e-4:
        return None
    edges = [_edges(line) for line in lines]
    return None if None in edges else (edges[0], edges[1])  # type: ignore[return-value]


def _edges(line: np.ndarray) -> tuple[float, float] | None:
    known = line[~np.isnan(line)]
    if len(known) < 2:
        return (0.0, 1.0) if len(known) == 1 else None
    steps = np.diff(known)
    if not (steps > 0).all() or np.ptp(steps) > 0.1 * steps.mean():
        return None
    half = float(known[-1] - known[0]) / (len(known) - 1) / 2
    return float(known[0]) - half, float(known[-1]) + half


def _mean(values: np.ndarray, axes: Sequence[int], keepdims: bool) -> np.ndarray:
    repeated = [axis for axis in axes if values.strides[axis] == 0]  # a broadcast axis holds one value
    for axis in repeated:
        values = values.take([0], axis)
    rest = tuple(axis for axis in axes if axis not in repeated)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN
        values = np.nanmean(values, axis=rest, keepdims=True).astype(np.float32) if rest else values
    return values if keepdims else values.squeeze(tuple(axes))


def _is_constant(values: np.ndarray, axis: int) -> bool:
    if values.strides[axis] == 0:
        return True
    return bool(np.allclose(values, values.take([0], axis), rtol=0, atol=1e-5, equal_nan=True))
