"""Ground-truth masks: exact areas under any resize, crop or letterbox, without drawing the mask again."""

import dataclasses

import cv2
import numpy as np

from transforms.placement import Placement


@dataclasses.dataclass(frozen=True, eq=False)
class TrueMask:
    """What is true of an image, pixel by pixel."""

    inside: np.ndarray  # bool [height, width] of the original image after orientation
    boxes: np.ndarray  # float64 [k, 4]: the bounding box of each object, in original pixels; k >= 1 where any is inside

    @classmethod
    def of_objects(cls, objects: np.ndarray) -> "TrueMask":
        """Of one mask for each object, bool ``[k, height, width]``."""
        return cls(
            np.asarray(objects.any(axis=0)), np.array([_bounds(one) for one in objects if one.any()]).reshape(-1, 4)
        )

    @classmethod
    def of_parts(cls, inside: np.ndarray) -> "TrueMask":
        """Of one mask whose objects are its 8-connected parts."""
        found = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)[2][1:].astype(np.float64)
        left, top, width, height = found[:, :4].T
        return cls(inside, np.stack([left, top, left + width, top + height], axis=1))

    def rectangles(self) -> np.ndarray:
        """Rectangles that together are the mask and do not overlap, float64 ``[r, 4]`` in original pixels.

        Runs of pixels in a row, those of equal rows one below the other as one.
        """
        height = len(self.inside)
        edges = np.diff(np.pad(self.inside.astype(np.int8), ((0, 0), (1, 1))), axis=1)
        rows, starts = np.nonzero(edges == 1)
        ends = np.nonzero(edges == -1)[1]
        same = np.zeros(height, bool)
        same[1:] = (self.inside[1:] == self.inside[:-1]).all(axis=1)
        block = np.cumsum(~same) - 1  # rows that are equal to the one above share its block
        first = np.flatnonzero(~same)
        last = np.append(first[1:], height)
        top = ~same[rows]
        number = block[rows[top]]
        return np.stack([starts[top], first[number], ends[top], last[number]], axis=1).astype(np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class MaskUnion:
    """A mask on the grid of a map, for what :class:`~transforms.statistics.coverage.BoxUnion` is for boxes."""

    table: np.ndarray  # float64 [height + 1, width + 1], summed areas of the mask
    placement: Placement

    @classmethod
    def of(cls, mask: TrueMask, placement: Placement) -> "MaskUnion":
        return cls(cv2.integral(mask.inside.astype(np.uint8)).astype(np.float64), placement)

    def coverage(self, height: int, width: int) -> np.ndarray:
        """The share of every cell of the grid that the mask covers, float64 ``[height, width]``, 0..1.

        The summed-area table (Crow 1984) of the mask is bilinear between its corners, so the area in a cell is exact
        wherever the edges of the cell fall in the original.
        """
        x = self._original(np.arange(width + 1) / width, 0)
        y = self._original(np.arange(height + 1) / height, 1)
        corners = _at(_at(self.table, y).T, x).T
        pixels = np.diff(np.diff(corners, axis=0), axis=1)
        place = self.placement
        of_cell = place.scale_x * place.scale_y * height * width / (place.input_width * place.input_height)
        return np.clip(pixels * of_cell, 0.0, 1.0)

    @property
    def area(self) -> float:
        """As a share of the grid's area, 0..1."""
        return float(self.coverage(1, 1)[0, 0])

    def shared_areas(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How much of each of k masks lies in this one, and how large it is; in cells, float64 ``[k]`` each.

        Args:
            masks: uint8 ``[height, width, k]``, 0 or 1.
        """
        covered = self.coverage(*masks.shape[:2])
        return np.einsum("hw,hwk->k", covered, masks), masks.sum(axis=(0, 1)).astype(np.float64)

    def _original(self, edges: np.ndarray, axis: int) -> np.ndarray:
        """Edges of cells in 0..1 of the grid -> in pixels of the original, of which the model sees no more."""
        place = self.placement
        size = (place.input_width, place.input_height)[axis]
        scale, offset = ((place.scale_x, place.offset_x), (place.scale_y, place.offset_y))[axis]
        shown = np.clip(edges, place.content[axis], place.content[axis + 2])
        return np.clip((shown * size - offset) / scale, 0, (place.width, place.height)[axis])


def _at(table: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The rows of ``table`` at ``positions``, in rows, interpolated linearly."""
    first = np.minimum(positions.astype(np.intp), len(table) - 2)
    weight = (positions - first)[:, None]
    return table[first] * (1 - weight) + table[first + 1] * weight


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
