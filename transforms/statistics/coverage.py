"""How much of each cell of a grid is covered by boxes: exact areas, no rasterising."""

import dataclasses

import cv2
import numpy as np

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
        # Edges may coincide: the rectangles between them have no area.
        xs, ys = np.sort(boxes[:, [0, 2]], axis=None), np.sort(boxes[:, [1, 3]], axis=None)
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

    def shared_areas(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How much of each of k masks lies in the union, and how large it is; in cells, float64 ``[k]`` each.

        From the summed-area tables of the masks (Crow 1984): between their corners they are bilinear, so the areas are
        exact also where an edge cuts a cell.

        Args:
            masks: uint8 ``[height, width, k]``, 0 or 1; k >= 2.
        """
        table = cv2.integral(masks)
        corners = _between(_between(table, self.ys).swapaxes(0, 1), self.xs)
        rectangles = np.diff(np.diff(corners, axis=0), axis=1)
        return (rectangles * self.inside.T[:, :, None]).sum(axis=(0, 1)), table[-1, -1].astype(np.float64)

    def _overlaps(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        rows = _interval_coverage(self.ys[:-1], self.ys[1:], height)
        return rows, _interval_coverage(self.xs[:-1], self.xs[1:], width)


def _between(table: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The rows of ``table`` at ``positions``, 0..1 from its first to its last, interpolated linearly."""
    cells = len(table) - 1
    first = np.minimum((positions * cells).astype(np.intp), cells - 1)
    weight = (positions * cells - first)[:, None, None]
    return table[first] * (1 - weight) + table[first + 1] * weight


def _interval_coverage(start: np.ndarray, end: np.ndarray, cells: int) -> np.ndarray:
    """The share of each of ``cells`` equal parts of 0..1 that lies between ``start`` and ``end`` ``[...]``."""
    first = np.arange(cells)
    overlap = np.minimum(end[..., None] * cells, first + 1) - np.maximum(start[..., None] * cells, first)
    return np.clip(overlap, 0.0, 1.0)
