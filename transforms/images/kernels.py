"""What each pixel of a resized picture is made of: a sparse matrix for a side and the size that it is brought to."""

import functools
from typing import NamedTuple

import numpy as np
from scipy import sparse


class Side(NamedTuple):
    """One side of a picture, brought to ``full`` pixels, of which those from ``start`` to ``stop`` are wanted."""

    source: int  # pixels
    full: int
    start: int
    stop: int

    @property
    def is_whole(self) -> bool:
        return self.stop - self.start == self.full


class Weights(NamedTuple):
    """The share that some source pixels have in each new one: all that any of the new ones is made of."""

    matrix: sparse.csr_array  # float32 [stop - start, used]; rows sum to one
    used: np.ndarray  # int64 [used], ascending: the source pixels
    are_all: bool  # of the source


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - x)


def _keys_cubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981, a = -0.5: bicubic of TensorFlow and of Pillow. OpenCV has a = -0.75."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos3(x: np.ndarray) -> np.ndarray:
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)


def _lanczos5(x: np.ndarray) -> np.ndarray:
    return np.where(x < 5, np.sinc(x) * np.sinc(x / 5), 0)


# name: the filter at a distance >= 0 in pixels, and the distance beyond which it is zero.
_KERNELS = {
    "bilinear": (_triangle, 1),
    "bicubic": (_keys_cubic, 2),
    "lanczos3": (_lanczos3, 3),
    "lanczos5": (_lanczos5, 5),
}


@functools.lru_cache(maxsize=256)  # up to 80 bytes for each source pixel: 200 MB where all photos have 10,000 a side
def kernel_weights(side: Side, interpolation: str, antialias: bool) -> Weights:
    """What each new pixel of a side is made of.

    Pixel centres lie at half numbers. With ``antialias`` a filter is as much wider as the side is made smaller. What
    would lie beyond the edge has no share. ``area`` is the average of what a new pixel covers where the side shrinks,
    and ``bilinear`` where it grows.
    """
    if interpolation == "area" and side.full <= side.source:
        return _area_weights(side)
    kernel, radius = _KERNELS["bilinear" if interpolation == "area" else interpolation]
    scale = side.source / side.full
    width = max(scale, 1.0) if antialias else 1.0  # of the filter, in source pixels
    centres = (np.arange(side.start, side.stop) + 0.5) * scale
    first = np.ceil(centres - radius * width - 0.5).astype(np.int64)
    columns = first[:, None] + np.arange(int(np.floor(2 * radius * width)) + 1)
    weights = kernel(np.abs(columns + 0.5 - centres[:, None]) / width)
    weights[(columns < 0) | (columns >= side.source)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return _sparse(weights.astype(np.float32), columns, weights != 0, side)


def _area_weights(side: Side) -> Weights:
    edges = np.arange(side.start, side.stop + 1) * (side.source / side.full)
    first = np.floor(edges[:-1] + 1e-9).astype(np.int32)
    taps = int(np.ceil(side.source / side.full)) + 1
    columns = first[:, None] + np.arange(taps)
    overlap = np.minimum(edges[1:, None], columns + 1) - np.maximum(edges[:-1, None], columns)
    inside = (overlap > 1e-6) & (columns < side.source)
    return _sparse((overlap / (side.source / side.full)).astype(np.float32), columns, inside, side)


def _sparse(weights: np.ndarray, columns: np.ndarray, inside: np.ndarray, side: Side) -> Weights:
    starts = np.concatenate([[0], np.cumsum(inside.sum(axis=1))]).astype(np.int32)
    used, places = np.unique(columns[inside], return_inverse=True)
    shape = (side.stop - side.start, len(used))
    matrix = sparse.csr_array((weights[inside], places.astype(np.int32), starts), shape=shape)
    return Weights(matrix, used.astype(np.int64), len(used) == side.source)


@functools.lru_cache(maxsize=1024)
def nearest_pixels(side: Side, as_pillow: bool) -> np.ndarray:
    """int64 ``[stop - start]``: the source pixel under the centre of each new one.

    Where the centre falls on the border of two pixels, rounding decides: TensorFlow computes in float32, Pillow adds up
    float64. Both are done here as there, since they differ in 20 columns of 224 where 640 pixels are brought to 224.
    """
    if as_pillow:
        step = side.source / side.full
        centres = np.cumsum(np.concatenate([[step * 0.5], np.full(side.stop - 1, step)]))[side.start :]
    else:
        scale = np.float32(side.source) / np.float32(side.full)
        centres = (np.arange(side.start, side.stop, dtype=np.float32) + np.float32(0.5)) * scale
    return np.minimum(np.floor(centres).astype(np.int64), side.source - 1)
