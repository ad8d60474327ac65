"""A batch of raw maps, made ready for statistics, and the upsampled map with its largest component."""

import dataclasses

import cv2
import numpy as np

from transforms.records import Status

LOCALIZATION_LEVEL = 0.15
"""Share of the maximum from which on a map marks the object (Selvaraju et al. 2017, section on localisation)."""

_FLAT_RANGE = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class Maps:
    """A batch of maps, cells row by row; rows without mass are zeros, so that no row can spoil the arithmetic."""

    height: int  # h, cells
    width: int  # w, cells
    signed: np.ndarray  # S, float64 [N, n]; zeros where not finite
    relative: np.ndarray  # P / max P, float64 [N, n], 0..1
    share: np.ndarray  # p, float64 [N, n], 0..1
    finite: np.ndarray  # bool [N]
    has_mass: np.ndarray  # bool [N], M > 0
    flat: np.ndarray  # bool [N], M > 0 and (max - min) <= 1e-6 max

    @classmethod
    def of(cls, cams: np.ndarray, finite: np.ndarray) -> "Maps":
        count, height, width = cams.shape
        signed = cams.reshape(count, height * width).astype(np.float64)
        finite = finite & np.isfinite(signed).all(axis=1)
        signed[~finite] = 0.0
        signed += 0.0  # -0.0 becomes 0.0: which of the two is the maximum depends on where they lie
        maximum = signed.max(axis=1)
        has_mass = maximum > 0
        flat = has_mass & (maximum - signed.min(axis=1) <= _FLAT_RANGE * maximum)
        # Dividing by the maximum first keeps every power and product in range, whatever the scale of the scores.
        relative = np.maximum(signed, 0.0) / np.where(has_mass, maximum, 1.0)[:, None]
        share = relative / np.where(has_mass, relative.sum(axis=1), 1.0)[:, None]
        return cls(height, width, signed, relative, share, finite, has_mass, flat)

    @property
    def status(self) -> np.ndarray:
        status = np.full(len(self.signed), Status.ZERO.value, object)
        status[self.has_mass] = Status.OK.value
        status[self.flat] = Status.FLAT.value
        status[~self.finite] = Status.NONFINITE.value
        return status

    @property
    def x(self) -> np.ndarray:
        """Centre of each cell, 0..1 across the model input, float64 [n]."""
        return np.tile((np.arange(self.width) + 0.5) / self.width, self.height)

    @property
    def y(self) -> np.ndarray:
        return np.repeat((np.arange(self.height) + 0.5) / self.height, self.width)


def upsample(cam: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear upsampling of one map ``[h, w]`` to ``[height, width]``, half-pixel centres, edges held; float32."""
    return cv2.resize(cam.astype(np.float32, copy=False), (width, height), interpolation=cv2.INTER_LINEAR)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The bounding box, in 0..1 of ``mask`` bool ``[H, W]``, of its largest 4-connected component; needs one."""
    height, width = mask.shape
    left = mask.astype(np.uint8)
    visited = np.zeros((height + 2, width + 2), np.uint8)
    remaining, largest, box = cv2.countNonZero(left), 0, (0, 0, 0, 0)
    # Flood filling erases one component after the other until none that is left can be larger: some five times
    # faster than labelling and measuring them all, since a map has few.
    while remaining > largest:
        y, x = divmod(int(left.view(bool).argmax()), width)
        area, _, _, bounds = cv2.floodFill(left, visited, (x, y), 0, flags=4)
        remaining -= area
        if area > largest:
            largest, box = area, bounds
    x, y, box_width, box_height = box
    return np.array([x / width, y / height, (x + box_width) / width, (y + box_height) / height])
