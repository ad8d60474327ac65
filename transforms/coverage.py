"""How much of each cell of a grid is covered by boxes: exact areas, no rasterising."""

import numpy as np

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""The box that covers the whole model input."""

TINY = 1e-9
"""In 0..1 of the model input: far below a pixel, far above the rounding of a placement. For comparing edges."""


def box_coverage(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """The share of every cell that each box covers.

    Args:
        boxes: float64 ``[..., 4]``, x0, y0, x1, y1 in 0..1 of the grid; what lies outside the grid covers nothing.
        height: rows of the grid, cells.
        width: columns of the grid, cells.

    Returns:
        float64 ``[..., height, width]``, 0..1.
    """
    boxes = np.asarray(boxes, np.float64)
    rows = _interval_coverage(boxes[..., 1], boxes[..., 3], height)
    columns = _interval_coverage(boxes[..., 0], boxes[..., 2], width)
    return rows[..., :, None] * columns[..., None, :]


def union_coverage(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """The share of every cell that lies in at least one box: overlaps count once.

    The edges of all boxes cut the plane into rectangles that are either inside the union or outside it; each of these
    covers a cell by the product of two overlaps. k boxes take O(k^2) memory.

    Args:
        boxes: float64 ``[k, 4]``, x0 < x1 and y0 < y1 in 0..1 of the grid.
        height: rows of the grid, cells.
        width: columns of the grid, cells.

    Returns:
        float64 ``[height, width]``, 0..1.
    """
    boxes = np.asarray(boxes, np.float64)
    if len(boxes) < 2:
        return box_coverage(boxes, height, width).sum(axis=0)
    xs, ys = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
    left, right = np.searchsorted(xs, boxes[:, 0]), np.searchsorted(xs, boxes[:, 2])
    top, bottom = np.searchsorted(ys, boxes[:, 1]), np.searchsorted(ys, boxes[:, 3])
    # A box adds one to all rectangles from its first corner on and takes it back behind its last row and column.
    depth = np.zeros((len(ys), len(xs)), np.int32)
    np.add.at(depth, (top, left), 1)
    np.add.at(depth, (bottom, right), 1)
    np.add.at(depth, (top, right), -1)
    np.add.at(depth, (bottom, left), -1)
    inside = depth.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0
    rows = _interval_coverage(ys[:-1], ys[1:], height)
    columns = _interval_coverage(xs[:-1], xs[1:], width)
    return np.minimum(rows.T @ inside.astype(np.float64) @ columns, 1.0)


def _interval_coverage(start: np.ndarray, end: np.ndarray, cells: int) -> np.ndarray:
    """The share of each of ``cells`` equal parts of 0..1 that lies between ``start`` and ``end`` ``[...]``."""
    first = np.arange(cells)
    overlap = np.minimum(end[..., None] * cells, first + 1) - np.maximum(start[..., None] * cells, first)
    return np.clip(overlap, 0.0, 1.0)
