"""Averages over areas: a picture made smaller, each new pixel the mean of what it covers."""

import functools

import cv2
import numpy as np
from scipy import sparse

_LARGEST = 1 << 24  # samples; beyond, four bytes for each would be too much for a thread


def shrink_area(source: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Shrink uint8 ``[H, W, 3]`` into ``out`` ``[h, w, 3]``, ``h <= H`` and ``w <= W``: OpenCV's INTER_AREA.

    The same sums as there, rows first and then columns, but as products with sparse matrices, which take whole rows at
    a time: half the time, and resizing is what costs most beside decoding.
    """
    (source_height, source_width), (height, width) = source.shape[:2], out.shape[:2]
    if source.size > _LARGEST or (source_height % height == 0 and source_width % width == 0):
        return cv2.resize(source, (width, height), dst=out, interpolation=cv2.INTER_AREA)
    samples = np.empty((source_height, source_width * 3), np.float32)
    np.copyto(samples.reshape(source.shape), source)
    rows = (_area_weights(source_height, height) @ samples).reshape(height, source_width, 3)
    columns = _area_weights(source_width, width) @ cv2.transpose(rows).reshape(source_width, height * 3)
    return cv2.convertScaleAbs(cv2.transpose(columns.reshape(width, height, 3)), dst=out)


@functools.lru_cache(maxsize=1024)
def _area_weights(source: int, target: int) -> sparse.csr_array:
    """float32 ``[target, source]``: the share that each source pixel has in each target pixel; rows sum to one."""
    edges = np.arange(target + 1) * (source / target)
    first = np.floor(edges[:-1] + 1e-9).astype(np.int32)
    taps = int(np.ceil(source / target)) + 1
    columns = first[:, None] + np.arange(taps)
    overlap = np.minimum(edges[1:, None], columns + 1) - np.maximum(edges[:-1, None], columns)
    inside = (overlap > 1e-6) & (columns < source)
    weights = (overlap / (source / target)).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    return sparse.csr_array((weights[inside], columns[inside], starts), shape=(target, source))
