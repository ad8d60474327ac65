"""The ground-truth columns again, pixel by pixel of the original, in exact fractions. Boxes have whole corners."""

import math
from fractions import Fraction

from map_oracle import exact_content, input_box_of, upsampled

LEVELS = {"mask_iou_15": 0.15, "mask_iou_30": 0.30, "mask_iou_50": 0.50}


def ground_truth_of(signed, boxes, placement):
    """The columns of ``ground_truth_statistics`` for one map that is finite; missing or None is NULL."""
    if boxes is None:
        return {}
    if not boxes:
        return {"gt_status": "NONE", "gt_area": 0}
    if all(x0 >= x1 or y0 >= y1 for x0, y0, x1, y1 in boxes):
        return {"gt_status": "EMPTY", "gt_area": 0}
    pixels = {
        (x, y)
        for x in range(placement.width)
        for y in range(placement.height)
        if any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in boxes)
    }
    height, width = len(signed), len(signed[0])
    covered = coverage_of(pixels, placement, height, width)
    area = sum(covered.values()) / (height * width)
    if not area:
        return {"gt_status": "OUT_OF_FRAME", "gt_area": 0}
    everything = {(x, y) for x in range(placement.width) for y in range(placement.height)}
    content = coverage_of(everything, placement, 1, 1)[0, 0]
    status = "FULL" if area == content else "SUBCELL" if area < Fraction(1, height * width) else "OK"
    seen = [box for box in (seen_part(box, placement) for box in boxes) if box]
    x0, y0, x1, y1 = exact_content(placement)
    columns = {
        "gt_status": status,
        "gt_area": area,
        "center_hit": float(is_hit((x0 + x1) / 2, (y0 + y1) / 2, seen)),
    }
    values = [value for row in signed for value in row]
    top, bottom = max(values), min(values)
    if top <= 0:
        return columns
    mass = math.fsum(max(value, 0.0) for value in values)
    columns["gt_mass"] = math.fsum(
        max(signed[i][j], 0.0) / mass * float(covered.get((i, j), 0)) for i in range(height) for j in range(width)
    )
    columns["gt_lift"] = columns["gt_mass"] / area
    if top - bottom > 1e-6 * top:
        peaks = [
            (Fraction(2 * j + 1, 2 * width), Fraction(2 * i + 1, 2 * height))
            for i in range(height)
            for j in range(width)
            if signed[i][j] == top
        ]
        columns["point_hit"] = sum(is_hit(x, y, seen) for x, y in peaks) / len(peaks)
        columns["point_hit_15px"] = sum(is_near(x, y, seen) for x, y in peaks) / len(peaks)
    columns["box_iou"] = max(iou(predicted_box(signed, placement), box) for box in seen)
    heatmap = upsampled(signed, placement.input_height, placement.input_width)
    peak = max(map(max, heatmap))
    covered = coverage_of(pixels, placement, placement.input_height, placement.input_width)
    for name, level in LEVELS.items():
        mask = {(i, j) for i, row in enumerate(heatmap) for j, value in enumerate(row) if value >= level * peak}
        shared = sum(covered.get(pixel, 0) for pixel in mask)
        columns[name] = shared / (len(mask) + sum(covered.values()) - shared)
    return columns


def to_input(x, y, placement):
    """A point of the original in 0..1 of the model input, exact."""

    def exact(value):
        return Fraction(value).limit_denominator(10**4)

    return (
        (x * exact(placement.scale_x) + exact(placement.offset_x)) / placement.input_width,
        (y * exact(placement.scale_y) + exact(placement.offset_y)) / placement.input_height,
    )


def coverage_of(pixels, placement, height, width):
    """The share of each cell (row, column) of a grid over the model input that the original's pixels cover."""
    covered = {}
    for x, y in pixels:
        left, upper = to_input(x, y, placement)
        right, lower = to_input(x + 1, y + 1, placement)
        for j in range(max(math.floor(left * width), 0), min(math.ceil(right * width), width)):
            for i in range(max(math.floor(upper * height), 0), min(math.ceil(lower * height), height)):
                across = min(right * width, j + 1) - max(left * width, j)
                down = min(lower * height, i + 1) - max(upper * height, i)
                covered[i, j] = covered.get((i, j), 0) + across * down
    return covered


def seen_part(box, placement):
    x0, y0 = to_input(max(box[0], 0), max(box[1], 0), placement)
    x1, y1 = to_input(min(box[2], placement.width), min(box[3], placement.height), placement)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, 1), min(y1, 1)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def predicted_box(signed, placement):
    """The 15 % box in 0..1 of the model input, its part on the image."""
    x0, y0, x1, y1 = input_box_of(signed, placement)
    left, top, right, bottom = exact_content(placement)
    x0, x1 = (min(max(Fraction(x, placement.input_width), left), right) for x in (x0, x1))
    y0, y1 = (min(max(Fraction(y, placement.input_height), top), bottom) for y in (y0, y1))
    return x0, y0, x1, y1


def iou(a, b):
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(across, 0) * max(down, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def is_hit(x, y, boxes):
    return any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in boxes)


def is_near(x, y, boxes):
    def squared_distance(x0, y0, x1, y1):
        return max(x0 - x, 0, x - x1) ** 2 + max(y0 - y, 0, y - y1) ** 2

    return any(squared_distance(*box) <= Fraction(15, 224) ** 2 for box in boxes)
