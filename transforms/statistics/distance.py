"""How far one map is from another."""

import numpy as np

from transforms.placement import WHOLE
from transforms.records import Box


def jensen_shannon_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The Jensen-Shannon distance of maps ``[N, h, w]`` taken as distributions: float64 ``[N]``, 0..1.

    ``sqrt(H(m) - (H(p) + H(q)) / 2)`` with ``m = (p + q) / 2`` and the entropy H in bits (Endres and Schindelin 2003, a
    metric). NaN where a map has no mass.
    """
    p, q = (values.reshape(len(values), -1) for values in (first, second))
    mass = np.stack([p.sum(axis=1), q.sum(axis=1)])
    known = (mass > 0).all(axis=0)
    distances = np.full(len(p), np.nan)
    p, q = p[known] / mass[0, known, None], q[known] / mass[1, known, None]
    divergence = _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
    distances[known] = np.sqrt(np.clip(divergence, 0, 1))
    return distances


def resample(maps: np.ndarray, height: int, width: int, covers: Box = WHOLE, onto: Box = WHOLE) -> np.ndarray:
    """Maps ``[N, h, w]`` on another grid: the mass of a cell goes to the new cells by the area that they share.

    No mass is lost where the new grid covers the old, and none is made, which bilinear interpolation does not promise.

    Args:
        covers: what the maps cover; ``onto``: what the new grid does, in the same frame.
    """
    down = _shares(maps.shape[1], height, covers[1::2], onto[1::2])
    across = _shares(maps.shape[2], width, covers[::2], onto[::2])
    return np.einsum("ah,nhw,bw->nab", down, maps, across, optimize=True)


def _shares(cells: int, wanted: int, covers: tuple[float, ...], onto: tuple[float, ...]) -> np.ndarray:
    """The share of each of ``cells`` parts of a line that lies in each of ``wanted`` parts, ``[wanted, cells]``."""
    (start, end), (first, last) = covers, onto
    old, new = start + (end - start) * (np.arange(cells) / cells), first + (last - first) * (np.arange(wanted) / wanted)
    size, new_size = (end - start) / cells, (last - first) / wanted
    overlap = np.minimum(old + size, new[:, None] + new_size) - np.maximum(old, new[:, None])
    return np.clip(overlap, 0, None) * (cells / (end - start))


def _entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=1)
