"""Raw maps and ground-truth boxes -> the ground-truth columns of the statistics table. Pure numpy.

Boxes go through the same resize, crop or letterbox as the image: each is clipped to the image, mapped to the model
input and clipped to what the model saw of the image. "The boxes" below are what is left of them.
"""

from collections.abc import Sequence

import numpy as np

from transforms.coverage import TINY, BoxUnion
from transforms.maps import LOCALIZATION_LEVEL, Maps, largest_component, upsample
from transforms.placement import Placement
from transforms.records import Box, Status

_TOLERANCE = 15 / 224  # Zhang et al. 2018: 15 pixels; at another input size, the same share of each side

_MASK_LEVELS = {"mask_iou_15": 0.15, "mask_iou_30": 0.30, "mask_iou_50": 0.50}
_COLUMNS = (
    "gt_area",
    "gt_mass",
    "gt_lift",
    "point_hit",
    "point_hit_15px",
    "center_hit",
    "box_iou",
    *_MASK_LEVELS,
)


def ground_truth_statistics(
    cams: np.ndarray, boxes: Sequence[tuple[Box, ...] | None], placements: Sequence[Placement], status: np.ndarray
) -> dict[str, np.ndarray]:
    """How the maps agree with the boxes of the manifest.

    ``gt_status`` is the first that holds of:

    - NULL, with all other columns: the manifest has no boxes for this image (``None``).
    - NONE: the manifest says that there is nothing to find (an empty tuple).
    - EMPTY: no box has an area (x0 < x1 and y0 < y1).
    - OUT_OF_FRAME: the model saw no part of a box: outside the image, or cropped away.
    - FULL: the boxes cover all that the model saw of the image, so that every point on it is a hit.
    - SUBCELL: the boxes together are smaller than one cell, finer than the map can show.
    - OK.

    With NONE, EMPTY and OUT_OF_FRAME there is nothing to hit: ``gt_area`` is 0, all else is NULL. With FULL and SUBCELL
    all columns are filled; who compares models leaves these rows out. A ZERO or NONFINITE map keeps ``gt_status``,
    ``gt_area`` and ``center_hit``, which do not depend on the map; all else is NULL, so it never counts as a hit.

    - gt_area: area of the union of the boxes, as a share of the model input.
    - gt_mass, gt_lift: ``sum(p f)`` with ``f`` the share of each cell in the union; gt_mass / gt_area.
    - point_hit: the pointing game (Zhang et al. 2018): share of the cells with the maximum whose centre lies in a box.
      NULL for a FLAT map, which points nowhere.
    - point_hit_15px: the same within 15 / 224 of the input's side of a box (Euclidean distance, both axes in shares).
    - center_hit: 1 if the centre of what the model saw of the image lies in a box, else 0.
    - box_iou: the best intersection over union of one of the boxes with the box of the largest component at >= 15 % of
      the maximum of the upsampled map; 0 if that lies on padding alone.
    - mask_iou_15, _30, _50: intersection over union of the pixels of the model input at >= 15, 30, 50 % of the maximum
      of the upsampled map with the union of the boxes; a pixel cut by an edge counts by its share.

    Args:
        cams: float32 ``[N, h, w]``, signed maps.
        boxes: for each map the boxes of its image in original pixels, or None.
        placements: N placements of the images in the model input.
        status: the column of ``map_statistics`` for the same maps.

    Returns:
        ``gt_status`` (object, None is NULL) and the other columns (float64, NaN is NULL) by name, N rows each.
    """
    maps = Maps.of(cams, status != Status.NONFINITE)
    gt_status = np.full(len(cams), None, object)
    columns = {name: np.full(len(cams), np.nan) for name in _COLUMNS}
    for row, (annotated, placement) in enumerate(zip(boxes, placements, strict=True)):
        if annotated is None:
            continue
        content = placement.content
        found, seen = _seen_boxes(annotated, placement, content)
        columns["gt_area"][row] = 0.0
        if len(seen):
            union = BoxUnion.of(seen)
            found = _extent(union, content, maps)
            columns["gt_area"][row] = union.area
            center = (np.array([sum(content[::2]) / 2]), np.array([sum(content[1::2]) / 2]))
            columns["center_hit"][row] = _inside(*center, seen)[0]
            if maps.has_mass[row]:
                measured = _mass(maps, row, union) | _pointing(maps, row, seen)
                measured |= _localization(maps, row, seen, union, placement, content)
                for name, value in measured.items():
                    columns[name][row] = value
        gt_status[row] = found
    return {"gt_status": gt_status} | columns


def _seen_boxes(annotated: Sequence[Box], placement: Placement, content: Box) -> tuple[str, np.ndarray]:
    """What the model saw of the boxes, float64 ``[k, 4]`` in 0..1 of the model input, and why if that is nothing."""
    boxes = np.array(annotated, np.float64).reshape(-1, 4)
    solid = boxes[(boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])]
    limit = [placement.width, placement.height, placement.width, placement.height]
    x0, y0, x1, y1 = content
    seen = np.clip(placement.to_input(np.clip(solid, 0, limit)), [x0, y0, x0, y0], [x1, y1, x1, y1])
    seen = seen[(seen[:, 2] - seen[:, 0] > TINY) & (seen[:, 3] - seen[:, 1] > TINY)]
    return "NONE" if not len(boxes) else "EMPTY" if not len(solid) else "OUT_OF_FRAME", seen


def _extent(union: BoxUnion, content: Box, maps: Maps) -> str:
    x0, y0, x1, y1 = content
    if union.area >= (x1 - x0) * (y1 - y0) - TINY:
        return "FULL"
    return "SUBCELL" if union.area * maps.height * maps.width < 1 - TINY else "OK"


def _mass(maps: Maps, row: int, union: BoxUnion) -> dict[str, float]:
    mass = (maps.share[row] * union.coverage(maps.height, maps.width).ravel()).sum()
    return {"gt_mass": mass, "gt_lift": mass / union.area}


def _pointing(maps: Maps, row: int, boxes: np.ndarray) -> dict[str, float]:
    if maps.flat[row]:
        return {}
    tied = maps.relative[row] == 1.0
    x, y = maps.x[tied], maps.y[tied]
    return {"point_hit": _inside(x, y, boxes).mean(), "point_hit_15px": _near(x, y, boxes).mean()}


def _inside(x: np.ndarray, y: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which points lie in a box: on its left and top edge, but not on its right and bottom edge; bool ``[points]``."""
    x0, y0, x1, y1 = boxes.T - TINY
    x, y = x[:, None], y[:, None]
    return ((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)).any(axis=1)


def _near(x: np.ndarray, y: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which points are within the tolerance of a box; bool ``[points]``."""
    x0, y0, x1, y1 = boxes.T
    x, y = x[:, None], y[:, None]
    distance_x = np.maximum(np.maximum(x0 - x, x - x1), 0.0)
    distance_y = np.maximum(np.maximum(y0 - y, y - y1), 0.0)
    return (np.hypot(distance_x, distance_y) <= _TOLERANCE + TINY).any(axis=1)


def _localization(
    maps: Maps, row: int, boxes: np.ndarray, union: BoxUnion, placement: Placement, content: Box
) -> dict[str, float]:
    heatmap = upsample(
        maps.relative[row].reshape(maps.height, maps.width), placement.input_height, placement.input_width
    )
    masks = np.stack([heatmap >= level * heatmap.max() for level in _MASK_LEVELS.values()])
    shared = union.shared_areas(masks)
    either = np.count_nonzero(masks, axis=(1, 2)) + union.area * heatmap.size - shared
    x0, y0, x1, y1 = content
    predicted = largest_component(heatmap >= LOCALIZATION_LEVEL * heatmap.max())
    predicted = np.clip(predicted, [x0, y0, x0, y0], [x1, y1, x1, y1])
    return {"box_iou": _best_iou(predicted, boxes)} | dict(zip(_MASK_LEVELS, shared / either, strict=True))


def _best_iou(box: np.ndarray, boxes: np.ndarray) -> float:
    """The highest intersection over union of ``box`` ``[4]`` with one of ``boxes`` ``[k, 4]``, each with an area."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(sides, 0.0).prod(axis=1)
    return (shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared)).max()
