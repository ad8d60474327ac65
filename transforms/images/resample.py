"""A picture brought to another size through any filter, and a part of it. The area average of the whole has a shorter
way: see :mod:`transforms.images.resize`."""

from collections.abc import Iterator

import cv2
import numpy as np
from scipy import sparse

from transforms.images.kernels import Side, kernel_weights, nearest_pixels
from transforms.sampling import Sampling

_LARGEST = 1 << 24  # samples that are float32 at a time: 64 MB


def resample(source: np.ndarray, rows: Side, columns: Side, sampling: Sampling) -> np.ndarray:
    """uint8 or uint16 ``[H, W, 3]`` -> ``[rows, columns, 3]`` of the same type, rounded and clipped to its range."""
    settled = sampling.settled()
    if settled.interpolation == "nearest":
        as_pillow = bool(settled.antialias)
        return source[nearest_pixels(rows, as_pillow)][:, nearest_pixels(columns, as_pillow)]
    antialias = bool(settled.antialias) and (rows.full < rows.source or columns.full < columns.source)
    if settled.interpolation == "bilinear" and not antialias and rows.is_whole and columns.is_whole:
        return cv2.resize(source, (columns.full, rows.full), interpolation=cv2.INTER_LINEAR)  # centres at half numbers
    made = _weighted_rows(source, kernel_weights(rows, settled.interpolation, antialias))
    height, width = len(made), columns.stop - columns.start
    # Rows of columns, so that whole rows are added there too.
    turned = cv2.transpose(made).reshape(source.shape[1], height * 3)
    turned = kernel_weights(columns, settled.interpolation, antialias) @ turned
    exact = cv2.transpose(turned.reshape(width, height, 3))
    depth = cv2.CV_8U if source.dtype == np.uint8 else cv2.CV_16U
    return cv2.add(exact, (0.0, 0.0, 0.0, 0.0), dtype=depth)  # rounds and clips: filters overshoot


def _weighted_rows(source: np.ndarray, weights: sparse.csr_array) -> np.ndarray:
    """float32 ``[h, W, 3]``: sums of the rows of ``[H, W, 3]``; few of them are float32 at a time."""
    out = np.empty((weights.shape[0], source.shape[1] * 3), np.float32)
    for start, stop in _bands(weights, _LARGEST // out.shape[1]):
        band = weights[start:stop] if stop - start < weights.shape[0] else weights
        used = np.unique(band.indices)
        first, last = int(used[0]), int(used[-1]) + 1
        if len(used) < last - first:  # rows that no filter looks at are not worth making floats of
            indices, needed = np.searchsorted(used, band.indices), source[used]
        else:
            indices, needed = band.indices - first, source[first:last]
        samples = np.empty((len(needed), out.shape[1]), np.float32)
        np.copyto(samples.reshape(needed.shape), needed)
        matrix = sparse.csr_array((band.data, indices, band.indptr), shape=(stop - start, len(needed)))
        out[start:stop] = matrix @ samples
    return out.reshape(len(out), source.shape[1], 3)


def _bands(weights: sparse.csr_array, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of new rows that look at ``most`` source rows together, or one by one where each looks at more."""
    starts, ends = weights.indices[weights.indptr[:-1]], weights.indices[weights.indptr[1:] - 1] + 1
    start = 0
    while start < len(starts):
        stop = max(start + 1, int(np.searchsorted(ends, starts[start] + most, side="right")))
        yield start, stop
        start = stop
