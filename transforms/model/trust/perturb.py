"""Images with the pixels changed that a map ranks highest. No TensorFlow here."""

import cv2
import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from transforms.model.trust.agreement import over_input
from transforms.placement import WHOLE
from transforms.records import Box

SHARES = (0.2, 0.4, 0.6, 0.8)
"""Of the pixels, for all curves."""
_BLUR = 8  # the longer side over this is the standard deviation, as in the job's faithfulness
_COARSE = 56  # pixels of the longer side on which is imputed: 50,000 unknowns a picture would take a second each
_NOISE = 0.1  # standard deviation, of 0..1, as the paper adds it


def ranks(cam: np.ndarray, height: int, width: int, seen: Box = WHOLE) -> np.ndarray:
    """How high the map ranks each pixel, 0 the highest, int ``[H, W]``; where it says the same, from the top left.

    Pixels that the map does not lie on, since the model crops them away, come last.
    """
    heat = np.nan_to_num(over_input(np.maximum(cam, 0), height, width, seen), nan=-1.0)
    order = np.empty(heat.size, np.int64)
    order[np.argsort(-heat, axis=None, kind="stable")] = np.arange(heat.size)
    return order.reshape(height, width)


def highest(cam: np.ndarray, height: int, width: int, seen: Box = WHOLE) -> np.ndarray:
    """bool ``[shares, H, W, 1]``: the pixels that are ranked highest."""
    limits = (np.array(SHARES) * height * width).astype(int)
    return (ranks(cam, height, width, seen)[None] < limits[:, None, None])[..., None]


def blurred(image: np.ndarray) -> np.ndarray:
    """Colours stay, shapes do not."""
    return cv2.GaussianBlur(image, (0, 0), max(image.shape[:2]) / _BLUR)


def imputed(image: np.ndarray, hidden: np.ndarray, seed: int) -> np.ndarray:
    """Noisy linear imputation: each hidden pixel is the weighted mean of its neighbours, and a little noise.

    ROAD, arXiv 2202.00449, section 4: 1/6 of each of the four direct neighbours, 1/12 of each diagonal one, a sparse
    linear system for all hidden pixels together. Here it is solved on a coarse copy of the image.

    Args:
        image: uint8 or uint16 ``[H, W, 3]``.
        hidden: bool ``[H, W]``.
    """
    height, width = hidden.shape
    scale = min(1.0, _COARSE / max(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    share = cv2.resize((~hidden).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    shown = image.astype(np.float32) * ~hidden[..., None]
    known = cv2.resize(shown, size, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-6)[..., None]
    filled = _solved(known.astype(np.float64), share < 0.5)
    smooth = cv2.resize(filled.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    largest = np.iinfo(image.dtype).max
    noise = np.random.default_rng(seed).normal(0, _NOISE * largest / 10, image.shape)
    values = np.clip(np.rint(smooth + noise), 0, largest).astype(image.dtype)
    return np.where(hidden[..., None], values, image)


_NEIGHBOURS = [(y, x, 1 / 6 if 0 in (y, x) else 1 / 12) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def _solved(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    if not hidden.any():
        return image
    if hidden.all():
        return np.full_like(image, image.mean())
    height, width = hidden.shape
    number = np.full(hidden.shape, -1)
    number[hidden] = np.arange(hidden.sum())
    rows, columns = np.nonzero(hidden)
    diagonal = np.zeros(len(rows))
    right = np.zeros((len(rows), image.shape[2]))
    entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for dy, dx, weight in _NEIGHBOURS:
        y, x = rows + dy, columns + dx
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        diagonal[inside] += weight  # at a border the others count for more
        there = np.flatnonzero(inside)
        other = number[y[there], x[there]]
        open_, given = other >= 0, other < 0
        entries.append((there[open_], other[open_], np.full(open_.sum(), -weight)))
        right[there[given]] += weight * image[y[there[given]], x[there[given]]]
    entries.append((np.arange(len(rows)), np.arange(len(rows)), diagonal))
    i, j, value = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    system = scipy.sparse.csc_matrix((value, (i, j)), shape=(len(rows),) * 2)
    solved = image.copy()
    solved[hidden] = scipy.sparse.linalg.splu(system).solve(right)
    return solved


def moved(images: np.ndarray, pixels: int) -> np.ndarray:
    """To the right and down, the border repeated, ``[N, H, W, 3]``."""
    padded = np.pad(images, ((0, 0), (pixels, 0), (pixels, 0), (0, 0)), mode="edge")
    return padded[:, : images.shape[1], : images.shape[2]]
