"""Raw maps and ground-truth boxes -> the ground-truth columns of the statistics table. Pure numpy and OpenCV.

Boxes go through the same resize, crop or letterbox as the image: each is clipped to the image, mapped to the model
input and clipped to what the model saw of the image. "The boxes" below are what is left of them.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from transforms.placement import Placement
from transforms.records import Box, Status
from transforms.statistics.coverage import TINY, BoxUnion
from transforms.statistics.maps import LOCALIZATION_LEVEL, Maps, largest_component, upsample
from transforms.statistics.masks import MaskUnion, TrueMask

Truth = tuple[Box, ...] | TrueMask | None
"""What a manifest says of an image: boxes in original pixels, a mask, or nothing."""

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
    cams: np.ndarray, boxes: Sequence[Truth], placements: Sequence[Placement], status: np.ndarray
) -> dict[str, np.ndarray]:
    """How the maps agree with the boxes, or the masks, of the manifest.

    A mask goes the same way as boxes. It is the union; "a box" that a point lies in or near is then the mask itself,
    and for box_iou the bounding box of each of its objects.

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
        boxes: for each map the boxes of its image in original pixels, its mask, or None.
        placements: N placements of the images in the model input. What the maps cover of it is "the model input" here.
        status: the column of ``map_statistics`` for the same maps.

    Returns:
        ``gt_status`` (object, None is NULL) and the other columns (float64, NaN is NULL) by name, N rows each.
    """
    gt_status = np.full(len(cams), None, object)
    columns = {name: np.full(len(cams), np.nan) for name in _COLUMNS}
    annotated = np.array([of_image is not None for of_image in boxes], bool)
    placements = [placement.map_frame for placement in placements]
    if annotated.any():
        maps = Maps.of(cams, status != Status.NONFINITE)
        content = np.array([placement.content for placement in placements])
        gt_status[annotated], seen, owner = _seen_boxes(boxes, placements, content)
        columns["gt_area"][annotated] = 0.0
        columns["center_hit"] = _center_hit(seen, owner, content)
        columns |= _pointing(maps, seen, owner)
        for row in np.unique(owner).tolist():
            of_row = seen[owner == row]
            truth, objects = boxes[row], of_row
            union: BoxUnion | MaskUnion
            if isinstance(truth, TrueMask):  # as boxes its rectangles would make too many cuts
                union = MaskUnion.of(truth, placements[row])
                objects = _visible(placements[row].to_input(truth.boxes), content[row])
            else:
                union = BoxUnion.of(of_row)
            gt_status[row] = _extent(union, content[row], maps)
            columns["gt_area"][row] = union.area
            if maps.has_mass[row]:
                measured = _mass(maps, row, union) | _localization(maps, row, objects, union, placements[row])
                for name, value in measured.items():
                    columns[name][row] = value
    return {"gt_status": gt_status} | columns


def _seen_boxes(
    boxes: Sequence[Truth], placements: Sequence[Placement], content: np.ndarray
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """What the model saw of all boxes of the batch.

    Returns:
        For each image that is annotated, why there would be nothing to hit; the boxes of which the model saw a part,
        float64 ``[K, 4]`` in 0..1 of the model input; the image of each, ascending, intp ``[K]``.
    """
    reasons, seen, owner = [], [np.empty((0, 4))], [np.empty(0, np.intp)]
    for row, (of_image, placement) in enumerate(zip(boxes, placements, strict=True)):
        if of_image is None:
            continue
        if isinstance(of_image, TrueMask):
            solid = of_image.rectangles()
            reasons.append("OUT_OF_FRAME" if len(solid) else "NONE")
        else:
            solid = np.array([box for box in of_image if box[0] < box[2] and box[1] < box[3]], np.float64)
            reasons.append("NONE" if not of_image else "OUT_OF_FRAME" if len(solid) else "EMPTY")
        if len(solid):
            seen.append(placement.to_input(solid))
            owner.append(np.full(len(solid), row))
    placed, of_box = np.concatenate(seen), np.concatenate(owner)
    frame = content[of_box]
    placed = np.clip(placed, frame[:, [0, 1, 0, 1]], frame[:, [2, 3, 2, 3]])
    visible = (placed[:, 2:] - placed[:, :2] > TINY).all(axis=1)
    return reasons, placed[visible], of_box[visible]


def _visible(placed: np.ndarray, content: np.ndarray) -> np.ndarray:
    """What the model saw of boxes ``[k, 4]`` in 0..1 of the model input; those that it saw nothing of are left out."""
    shown = np.clip(placed, content[[0, 1, 0, 1]], content[[2, 3, 2, 3]])
    return shown[(shown[:, 2:] - shown[:, :2] > TINY).all(axis=1)]


def _extent(union: BoxUnion | MaskUnion, content: np.ndarray, maps: Maps) -> str:
    if union.area >= (content[2:] - content[:2]).prod() - TINY:
        return "FULL"
    return "SUBCELL" if union.area * maps.height * maps.width < 1 - TINY else "OK"


def _mass(maps: Maps, row: int, union: BoxUnion | MaskUnion) -> dict[str, float]:
    mass = (maps.share[row] * union.coverage(maps.height, maps.width).ravel()).sum()
    return {"gt_mass": mass, "gt_lift": mass / union.area}


def _center_hit(boxes: np.ndarray, owner: np.ndarray, content: np.ndarray) -> np.ndarray:
    """float64 ``[N]``; NaN for an image without boxes."""
    x, y = ((content[:, :2] + content[:, 2:]) / 2)[owner].T
    hits = np.full(len(content), np.nan)
    hits[owner] = 0.0
    hits[owner[_inside(boxes, x[:, None], y[:, None])[:, 0]]] = 1.0
    return hits


def _pointing(maps: Maps, boxes: np.ndarray, owner: np.ndarray) -> dict[str, np.ndarray]:
    """The share of the tied maxima that hit; NULL without boxes or without a peak."""
    tied = maps.relative == 1.0
    has_peak = np.zeros(len(tied), bool)
    has_peak[owner] = (maps.has_mass & ~maps.flat)[owner]
    columns = {}
    for name, hits_box in (("point_hit", _inside), ("point_hit_15px", _near)):
        hits = np.zeros(tied.shape, bool)
        np.logical_or.at(hits, owner, hits_box(boxes, maps.x, maps.y))
        columns[name] = np.where(has_peak, (hits & tied).sum(axis=1) / np.maximum(tied.sum(axis=1), 1), np.nan)
    return columns


def _inside(boxes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points ``[n]``, or ``[K, n]``, lie in which of K boxes; bool ``[K, n]``.

    On its left and top edge a point is in the box, on its right and bottom edge it is not.
    """
    x0, y0, x1, y1 = (boxes - TINY).T[:, :, None]
    return (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)


def _near(boxes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points ``[n]`` are within the tolerance of which of K boxes; bool ``[K, n]``."""
    x0, y0, x1, y1 = boxes.T[:, :, None]
    distance_x = np.maximum(np.maximum(x0 - x, x - x1), 0.0)
    distance_y = np.maximum(np.maximum(y0 - y, y - y1), 0.0)
    return np.hypot(distance_x, distance_y) <= _TOLERANCE + TINY


def _localization(
    maps: Maps, row: int, boxes: np.ndarray, union: BoxUnion | MaskUnion, placement: Placement
) -> dict[str, float]:
    heatmap = upsample(
        maps.relative[row].reshape(maps.height, maps.width), placement.input_height, placement.input_width
    )
    maximum = heatmap.max()
    masks = cv2.merge([(heatmap >= level * maximum).view(np.uint8) for level in _MASK_LEVELS.values()])
    shared, mask_areas = union.shared_areas(masks)
    mask_ious = shared / (mask_areas + union.area * heatmap.size - shared)
    x0, y0, x1, y1 = placement.content
    predicted = largest_component(heatmap >= LOCALIZATION_LEVEL * maximum)
    predicted = np.clip(predicted, [x0, y0, x0, y0], [x1, y1, x1, y1])
    return {"box_iou": _best_iou(predicted, boxes)} | dict(zip(_MASK_LEVELS, mask_ious, strict=True))


def _best_iou(box: np.ndarray, boxes: np.ndarray) -> float:
    """The highest intersection over union of ``box`` ``[4]`` with one of ``boxes`` ``[k, 4]``, each with an area."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(sides, 0.0).prod(axis=1)
    return (shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared)).max()
