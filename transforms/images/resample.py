"""A picture brought to another size through any filter, and a part of it. The area average of the whole has a shorter
way: see :mod:`transforms.images.resize`."""

from collections.abc import Iterator

import cv2
import numpy as np
from scipy import sparse

from transforms.images.kernels import Side, Weights, kernel_weights, nearest_pixels
from transforms.sampling import Sampling

_LARGEST = 1 << 24  # samples that are float32 at a time: 64 MB


def resample(source: np.ndarray, rows: Side, columns: Side, sampling: Sampling) -> np.ndarray:
    """uint8 or uint16 ``[H, W, 3]`` -> ``[rows, columns, 3]`` of the same type, rounded and clipped to its range."""
    settled = sampling.settled()
    if settled.interpolation == "nearest":
        as_pillow = bool(settled.antialias)
        return _columns_of(source[nearest_pixels(rows, as_pillow)], nearest_pixels(columns, as_pillow))
    antialias = bool(settled.antialias) and (rows.full < rows.source or columns.full < columns.source)
    if settled.interpolation == "bilinear" and not antialias and rows.is_whole and columns.is_whole:
        return cv2.resize(source, (columns.full, rows.full), interpolation=cv2.INTER_LINEAR)  # centres at half numbers
    across = kernel_weights(columns, settled.interpolation, antialias)
    made = _weighted_rows(source, kernel_weights(rows, settled.interpolation, antialias), across)
    height, width = len(made), columns.stop - columns.start
    # Rows of columns, so that whole rows are added there too.
    turned = across.matrix @ cv2.transpose(made).reshape(len(across.used), height * 3)
    exact = cv2.transpose(turned.reshape(width, height, 3))
    depth = cv2.CV_8U if source.dtype == np.uint8 else cv2.CV_16U
    return cv2.add(exact, (0.0, 0.0, 0.0, 0.0), dtype=depth)  # rounds and clips: filters overshoot


def _weighted_rows(source: np.ndarray, down: Weights, across: Weights) -> np.ndarray:
    """float32 ``[h, used columns, 3]``: sums of the rows of ``[H, W, 3]``; few of them are float32 at a time.

    Rows and columns that no filter looks at are left out before anything is made a float.
    """
    width = len(across.used)
    out = np.empty((down.matrix.shape[0], width * 3), np.float32)
    for start, stop in _bands(down.matrix, max(1, _LARGEST // out.shape[1])):
        band = down.matrix if stop - start == len(out) else down.matrix[start:stop]
        first, last = int(band.indices.min()), int(band.indices.max()) + 1
        used = down.used[first:last]
        is_range = used[-1] - used[0] == len(used) - 1
        needed = source[used[0] : used[-1] + 1] if is_range else source[used]
        if not across.are_all:
            needed = _columns_of(needed, across.used)
        samples = np.empty((len(needed), out.shape[1]), np.float32)
        np.copyto(samples.reshape(needed.shape), needed)
        matrix = sparse.csr_array((band.data, band.indices - first, band.indptr), shape=(stop - start, len(needed)))
        out[start:stop] = matrix @ samples
    return out.reshape(len(out), width, 3)


def _columns_of(pixels: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``pixels[:, columns]``, in a third of the time."""
    samples = (columns[:, None] * 3 + np.arange(3)).ravel()
    return pixels.reshape(len(pixels), -1).take(samples, axis=1).reshape(len(pixels), len(columns), 3)


def _bands(matrix: sparse.csr_array, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of new rows that look at ``most`` source rows together, or one by one where each looks at more."""
    starts, ends = matrix.indices[matrix.indptr[:-1]], matrix.indices[matrix.indptr[1:] - 1] + 1
    start = 0
    while start < len(starts):
        stop = max(start + 1, int(np.searchsorted(ends, starts[start] + most, side="right")))
        yield start, stop
        start = stop
