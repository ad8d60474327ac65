"""Raw maps -> the map columns of the statistics table. Pure numpy and OpenCV, a whole batch at once.

Notation, as in the README: ``S`` is the signed class activation map ``[h, w]`` before the ReLU, ``P = max(S, 0)``,
``M = sum(P)``, ``n = h w``, ``p = P / M``. All is computed in float64 on the map's own grid; only the box uses the
upsampled map.

Columns are float64 arrays in which NaN stands for NULL, also where the table has integers. What is undefined is NULL:
"needs mass" columns where ``M = 0``, everything where the map is not finite.
"""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from transforms.placement import WHOLE, Placement, within
from transforms.records import Box, Status
from transforms.statistics.coverage import TINY, box_coverage
from transforms.statistics.maps import LOCALIZATION_LEVEL, Maps, largest_component, upsample

Columns = dict[str, np.ndarray]


def map_statistics(cams: np.ndarray, finite: np.ndarray, placements: Sequence[Placement]) -> Columns:
    """The columns that follow from the maps alone: status, magnitude, shape, location, border, the map itself.

    Args:
        cams: float32 ``[N, h, w]``, signed maps ``S`` in score units.
        finite: bool ``[N]``, False where the input, the activations, the gradients or the scores had NaN or Inf.
        placements: N placements of the images in the model input; they say what part of it the maps cover.

    Returns:
        Arrays of N rows by column name: ``status`` (object: OK, ZERO, FLAT or NONFINITE), ``cam`` (float32
        ``[N, h*w]``, ``P / max P`` row by row; zeros for ZERO, for that is ``P``), all others float64 ``[N]``.
        NaN is NULL. A row does not depend on the batch that it is in.
    """
    maps = Maps.of(cams, finite)
    columns = _magnitude(maps) | _map_itself(maps)
    frames = [placement.map_frame for placement in placements]
    seen = np.array([placement.seen for placement in placements], np.float64).reshape(-1, 4)
    needs_mass = _shape(maps) | _blobs(maps) | _location(maps, seen) | _boxes(maps, frames)
    needs_mass |= _border(maps) | _padding(maps, frames)
    for column in needs_mass.values():
        column[~maps.has_mass] = np.nan
    for column in columns.values():
        column[~maps.finite] = np.nan
    return {"status": maps.status} | columns | needs_mass


def region_statistics(cams: np.ndarray, regions: Mapping[str, Box], status: np.ndarray, seen: Box = WHOLE) -> Columns:
    """Mass and lift of declared regions: ``sum(p f)`` with ``f`` the covered share of each cell; mass / area.

    The area is a share of what the map covers; a region of which it covers nothing has no mass, and its lift is NULL.

    Args:
        cams: float32 ``[N, h, w]``, signed maps.
        regions: boxes by name, x0, y0, x1, y1 in 0..1 of the model input.
        status: the column of ``map_statistics`` for the same maps.
        seen: what the maps cover, in 0..1 of the model input.

    Returns:
        ``region_<name>_mass`` (0..1) and ``region_<name>_lift`` (1 = uniform), float64 ``[N]``; NULL without mass.

    Raises:
        ValueError: a region covers nothing of the model input.
    """
    maps = Maps.of(cams, status != Status.NONFINITE)
    columns = {}
    for name, box in regions.items():
        covered = box_coverage(within(np.array(box), seen), maps.height, maps.width).ravel()
        if not box_coverage(np.array(box), 1, 1).any():
            raise ValueError(
                f"region {name!r} = {list(box)} covers nothing; give x0, y0, x1, y1 in 0..1 with x0 < x1 and y0 < y1"
            )
        mass = (maps.share * covered).sum(axis=1)
        columns[f"region_{name}_mass"] = mass
        columns[f"region_{name}_lift"] = mass / (covered.mean() or np.nan)
    for column in columns.values():
        column[~maps.has_mass] = np.nan
    return columns


def _magnitude(maps: Maps) -> Columns:
    return {
        "cam_max": maps.signed.max(axis=1),
        "cam_min": maps.signed.min(axis=1),
        "positive_mass": np.maximum(maps.signed, 0.0).sum(axis=1),
        "negative_mass": np.abs(np.minimum(maps.signed, 0.0)).sum(axis=1),
    }


def _map_itself(maps: Maps) -> Columns:
    count = len(maps.signed)
    return {
        "cam_height": np.full(count, float(maps.height)),
        "cam_width": np.full(count, float(maps.width)),
        "cam": maps.relative.astype(np.float32),
    }


def _shape(maps: Maps) -> Columns:
    """How concentrated the mass is.

    Entropy is ``-sum(p ln p) / ln n`` and by definition 1 for a FLAT map, the only kind that a grid of one cell can
    have. Gini is ``sum((2k - n - 1) p_k) / n`` over the cells in ascending order, k = 1..n.
    """
    n = maps.share.shape[1]
    logarithm = np.log(np.where(maps.share > 0, maps.share, 1.0))
    entropy = (0.0 - (maps.share * logarithm).sum(axis=1)) / (math.log(n) if n > 1 else 1.0)
    ascending = np.sort(maps.share, axis=1)
    # Rows without mass divide by one; they become NULL.
    squares = np.where(maps.has_mass, (maps.share * maps.share).sum(axis=1), 1.0)
    return {
        "entropy": np.where(maps.flat, 1.0, entropy),
        "effective_area": 1.0 / (n * squares),
        "gini": (ascending * (2.0 * np.arange(1, n + 1) - n - 1)).sum(axis=1) / n,
        "top10_mass": ascending[:, n - _ceil_divide(n, 10) :].sum(axis=1),
        "area_15": (maps.relative >= 0.15).mean(axis=1),
        "area_50": (maps.relative >= 0.50).mean(axis=1),
    }


def _blobs(maps: Maps) -> Columns:
    """Connected components of the cells at >= 15 % of the maximum: neighbours share an edge, not a corner."""
    count = len(maps.signed)
    high = (maps.relative >= LOCALIZATION_LEVEL).reshape(count, maps.height, maps.width)
    # One tall picture with an empty row under each map: one call labels the batch, and no blob spans two maps. The
    # empty map at its end is for a batch of none: OpenCV crashes on a picture without rows.
    stacked = np.pad(high, ((0, 1), (0, 1), (0, 0)))
    labels = cv2.connectedComponents(stacked.reshape(-1, maps.width).astype(np.uint8), connectivity=4)[1]
    labels = labels.reshape(stacked.shape)[:-1, :-1].reshape(count, maps.height * maps.width)
    mass = np.bincount(labels.ravel(), weights=maps.share.ravel())
    owner = np.zeros(len(mass), np.intp)
    owner[labels] = np.arange(count)[:, None]
    largest = np.zeros(count)
    np.maximum.at(largest, owner[1:], mass[1:])  # label 0 is the background
    return {
        "blob_count": np.bincount(owner[1:], minlength=count).astype(np.float64),
        "largest_blob_mass": largest,
    }


def _location(maps: Maps, seen: np.ndarray) -> Columns:
    """Where the mass lies, in 0..1 of the model input, of which the maps cover the boxes ``seen`` ``[N, 4]``."""
    centroid_x, centroid_y = (maps.share * maps.x).sum(axis=1), (maps.share * maps.y).sum(axis=1)
    variance_x = (maps.share * (maps.x - centroid_x[:, None]) ** 2).sum(axis=1)
    variance_y = (maps.share * (maps.y - centroid_y[:, None]) ** 2).sum(axis=1)
    peak = maps.signed.argmax(axis=1)
    left, top, right, bottom = seen.T
    across, down = right - left, bottom - top
    centroid_x, centroid_y = left + across * centroid_x, top + down * centroid_y
    return {
        "centroid_x": centroid_x,
        "centroid_y": centroid_y,
        "spread_x": across * np.sqrt(variance_x),
        "spread_y": down * np.sqrt(variance_y),
        "peak_x": np.where(maps.flat, np.nan, left + across * maps.x[peak]),
        "peak_y": np.where(maps.flat, np.nan, top + down * maps.y[peak]),
        "peak_ties": (maps.relative == 1.0).sum(axis=1).astype(np.float64),
        # A corner of the input is sqrt(1/2) away from the centre.
        "center_distance": np.sqrt(2.0 * ((centroid_x - 0.5) ** 2 + (centroid_y - 0.5) ** 2)),
    }


def _boxes(maps: Maps, frames: Sequence[Placement]) -> Columns:
    """The box of the largest component at >= 15 % of the maximum of the upsampled map (Selvaraju et al. 2017).

    In pixels of the original image, clipped to it, right and bottom edge exclusive. The largest component has the most
    pixels of the model input; of equals, the one that comes first row by row. NULL where it lies on padding alone.
    """
    boxes = np.full((len(maps.signed), 4), np.nan)
    relative = maps.relative.reshape(-1, maps.height, maps.width)
    for row, frame in enumerate(frames):
        if maps.has_mass[row]:
            heatmap = upsample(relative[row], frame.input_height, frame.input_width)
            box = largest_component(heatmap >= LOCALIZATION_LEVEL * heatmap.max())
            left, top, right, bottom = frame.window
            x0, y0, x1, y1 = frame.to_original(box.clip([left, top, left, top], [right, bottom, right, bottom]))
            if x0 < x1 and y0 < y1:
                boxes[row] = x0, y0, x1, y1
    return {name: boxes[:, i].copy() for i, name in enumerate(("box_x0", "box_y0", "box_x1", "box_y1"))}


def _border(maps: Maps) -> Columns:
    """Mass in the outermost ring, the corners and the middle of the grid.

    Where the middle ``ceil(h/2)`` rows cannot lie evenly, as 4 of 7, the smaller rest is above; columns likewise.
    """
    share = maps.share.reshape(-1, maps.height, maps.width)
    ring = np.ones((maps.height, maps.width), bool)
    ring[1:-1, 1:-1] = False
    border_mass = (maps.share * ring.ravel()).sum(axis=1)
    rows, columns = _ceil_divide(maps.height, 4), _ceil_divide(maps.width, 4)
    corners = {
        "corner_mass_tl": share[:, :rows, :columns],
        "corner_mass_tr": share[:, :rows, -columns:],
        "corner_mass_bl": share[:, -rows:, :columns],
        "corner_mass_br": share[:, -rows:, -columns:],
    }
    corner_mass = {name: _mass(cells) for name, cells in corners.items()}
    corner_area = rows * columns / (maps.height * maps.width)
    middle_rows, middle_columns = _ceil_divide(maps.height, 2), _ceil_divide(maps.width, 2)
    top, left = (maps.height - middle_rows) // 2, (maps.width - middle_columns) // 2
    return {
        "border_mass": border_mass,
        "border_lift": border_mass / ring.mean(),
        **corner_mass,
        "corner_lift": np.max(list(corner_mass.values()), axis=0) / corner_area,
        "center_mass": _mass(share[:, top : top + middle_rows, left : left + middle_columns]),
    }


def _padding(maps: Maps, frames: Sequence[Placement]) -> Columns:
    """Mass on padding, ours or the model's, each cell by the share that is padding; NULL for an image without any."""
    content = np.array([frame.content for frame in frames]).reshape(-1, 4)
    padded = (np.abs(content - WHOLE) > TINY).any(axis=1)
    outside = 1.0 - box_coverage(content, maps.height, maps.width).reshape(maps.share.shape)
    return {"padding_mass": np.where(padded, (maps.share * outside).sum(axis=1), np.nan)}


def _mass(cells: np.ndarray) -> np.ndarray:
    """Sum over the cells of ``[N, rows, columns]``; copied row by row so that the order of summation is fixed."""
    count, rows, columns = cells.shape
    return np.ascontiguousarray(cells).reshape(count, rows * columns).sum(axis=1)


def _ceil_divide(number: int, divisor: int) -> int:
    return -(-number // divisor)
