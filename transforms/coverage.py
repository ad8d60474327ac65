"""How much of each cell of a grid is covered by boxes: exact areas, no rasterising."""

import dataclasses

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


@dataclasses.dataclass(frozen=True, eq=False)
class BoxUnion:
    """The union of boxes, in which overlaps count once.

    The edges of all boxes cut the plane into rectangles that lie either inside the union or outside it. Each covers a
    cell by the product of two overlaps. k boxes make up to (2k - 1)^2 rectangles.
    """

    ys: np.ndarray  # float64 [R + 1], ascending, 0..1 of the grid
    xs: np.ndarray  # float64 [C + 1]
    inside: np.ndarray  # float64 [R, C], 1 where the rectangle lies in a box, else 0

    @classmethod
    def of(cls, boxes: np.ndarray) -> "BoxUnion":
        """Of float64 ``[k, 4]``, x0 < x1 and y0 < y1 in 0..1 of the grid, k >= 1."""
        xs, ys = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
        left, right = np.searchsorted(xs, boxes[:, 0]), np.searchsorted(xs, boxes[:, 2])
        top, bottom = np.searchsorted(ys, boxes[:, 1]), np.searchsorted(ys, boxes[:, 3])
        # A box adds one to all rectangles from its first corner on and takes it back behind its last row and column.
        depth = np.zeros((len(ys), len(xs)), np.int32)
        np.add.at(depth, (top, left), 1)
        np.add.at(depth, (bottom, right), 1)
        np.add.at(depth, (top, right), -1)
        np.add.at(depth, (bottom, left), -1)
        depth = depth.cumsum(axis=0).cumsum(axis=1)
        return cls(ys, xs, (depth[:-1, :-1] > 0).astype(np.float64))

    def coverage(self, height: int, width: int) -> np.ndarray:
        """The share of every cell of the grid that lies in the union, float64 ``[height, width]``, 0..1."""
        rows, columns = self._overlaps(height, width)
        return np.minimum(rows.T @ self.inside @ columns, 1.0)

    @property
    def area(self) -> float:
        """As a share of the grid's area, 0..1 where all boxes lie on the grid."""
        return float((self.inside * np.outer(np.diff(self.ys), np.diff(self.xs))).sum())

    def shared_areas(self, masks: np.ndarray) -> np.ndarray:
        """``sum(coverage * mask)`` of each of bool ``[k, height, width]``, in cells; float64 ``[k]``.

        The coverage is never made, only its two factors: for a map of the size of the model input that is far less.
        """
        rows, columns = self._overlaps(*masks.shape[1:])
        return (self.inside * (rows @ masks.astype(np.float64) @ columns.T)).sum(axis=(1, 2))

    def _overlaps(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        rows = _interval_coverage(self.ys[:-1], self.ys[1:], height)
        return rows, _interval_coverage(self.xs[:-1], self.xs[1:], width)


def _interval_coverage(start: np.ndarray, end: np.ndarray, cells: int) -> np.ndarray:
    """The share of each of ``cells`` equal parts of 0..1 that lies between ``start`` and ``end`` ``[...]``."""
    first = np.arange(cells)
    overlap = np.minimum(end[..., None] * cells, first + 1) - np.maximum(start[..., None] * cells, first)
    return np.clip(overlap, 0.0, 1.0)
