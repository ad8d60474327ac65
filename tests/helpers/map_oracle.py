"""The map columns again, one map at a time, with loops over cells and pixels: slow, obvious, no numpy, no OpenCV."""

import math
from fractions import Fraction

NULL = None


def statistics_of(signed, placement):
    """The columns of ``map_statistics`` for one map, a list of rows of floats; None is NULL."""
    height, width = len(signed), len(signed[0])
    values = [value for row in signed for value in row]
    if not all(math.isfinite(value) for value in values):
        return {"status": "NONFINITE"}
    n = height * width
    top, bottom = max(values), min(values)
    columns = {
        "cam_height": height,
        "cam_width": width,
        "cam_max": top,
        "cam_min": bottom,
        "positive_mass": math.fsum(value for value in values if value > 0),
        "negative_mass": math.fsum(-value for value in values if value < 0),
    }
    if top <= 0:
        return columns | {"status": "ZERO", "cam": [0.0] * n}
    flat = top - bottom <= 1e-6 * top
    positive = [max(value, 0.0) for value in values]
    mass = math.fsum(positive)
    share = [value / mass for value in positive]
    cells = [(i, j) for i in range(height) for j in range(width)]
    share_of = dict(zip(cells, share, strict=True))
    columns |= {
        "status": "FLAT" if flat else "OK",
        "cam": [value / top for value in positive],
        "entropy": 1.0 if flat else -math.fsum(p * math.log(p) for p in share if p > 0) / math.log(n),
        "effective_area": 1 / (n * math.fsum(p * p for p in share)),
        # Half the mean absolute difference of all pairs over the mean.
        "gini": math.fsum(abs(a - b) for a in share for b in share) / (2 * n),
        "top10_mass": math.fsum(sorted(share, reverse=True)[: math.ceil(Fraction(n, 10))]),
        "area_15": sum(value / top >= 0.15 for value in positive) / n,
        "area_50": sum(value / top >= 0.5 for value in positive) / n,
    }
    high = {cell for cell, value in zip(cells, positive, strict=True) if value / top >= 0.15}
    blobs = components(high)
    columns["blob_count"] = len(blobs)
    columns["largest_blob_mass"] = max(math.fsum(share_of[cell] for cell in blob) for blob in blobs)

    def x_of(j):
        return (j + 0.5) / width

    def y_of(i):
        return (i + 0.5) / height

    center_x = math.fsum(p * x_of(j) for (_, j), p in share_of.items())
    center_y = math.fsum(p * y_of(i) for (i, _), p in share_of.items())
    first = values.index(top)
    columns |= {
        "centroid_x": center_x,
        "centroid_y": center_y,
        "spread_x": math.sqrt(math.fsum(p * (x_of(j) - center_x) ** 2 for (_, j), p in share_of.items())),
        "spread_y": math.sqrt(math.fsum(p * (y_of(i) - center_y) ** 2 for (i, _), p in share_of.items())),
        "peak_x": NULL if flat else x_of(first % width),
        "peak_y": NULL if flat else y_of(first // width),
        "peak_ties": values.count(top),
        "center_distance": math.dist((center_x, center_y), (0.5, 0.5)) / math.dist((0, 0), (0.5, 0.5)),
    }
    columns |= dict(zip(("box_x0", "box_y0", "box_x1", "box_y1"), box_of(signed, placement), strict=True))

    def mass_where(condition):
        return math.fsum(p for (i, j), p in share_of.items() if condition(i, j))

    def is_ring(i, j):
        return i in (0, height - 1) or j in (0, width - 1)

    corner_rows, corner_columns = math.ceil(height / 4), math.ceil(width / 4)
    middle_rows, middle_columns = math.ceil(height / 2), math.ceil(width / 2)
    top_row, left_column = (height - middle_rows) // 2, (width - middle_columns) // 2
    columns |= {
        "border_mass": mass_where(is_ring),
        "border_lift": mass_where(is_ring) / (sum(is_ring(i, j) for i, j in cells) / n),
        "corner_mass_tl": mass_where(lambda i, j: i < corner_rows and j < corner_columns),
        "corner_mass_tr": mass_where(lambda i, j: i < corner_rows and j >= width - corner_columns),
        "corner_mass_bl": mass_where(lambda i, j: i >= height - corner_rows and j < corner_columns),
        "corner_mass_br": mass_where(lambda i, j: i >= height - corner_rows and j >= width - corner_columns),
        "center_mass": mass_where(
            lambda i, j: top_row <= i < top_row + middle_rows and left_column <= j < left_column + middle_columns
        ),
    }
    corners = [columns[f"corner_mass_{corner}"] for corner in ("tl", "tr", "bl", "br")]
    columns["corner_lift"] = max(corners) / (corner_rows * corner_columns / n)
    x0, y0, x1, y1 = exact_content(placement)
    columns["padding_mass"] = (
        NULL
        if (x0, y0, x1, y1) == (0, 0, 1, 1)
        else math.fsum(p * (1 - cell_share((x0, y0, x1, y1), i, j, height, width)) for (i, j), p in share_of.items())
    )
    return columns


def exact_content(placement):
    """The box of the image in the model input in whole pixels, as fractions of it."""
    x0 = max(round(placement.offset_x), 0)
    y0 = max(round(placement.offset_y), 0)
    x1 = min(round(placement.offset_x + placement.width * placement.scale_x), placement.input_width)
    y1 = min(round(placement.offset_y + placement.height * placement.scale_y), placement.input_height)
    columns, rows = placement.input_width, placement.input_height
    return Fraction(x0, columns), Fraction(y0, rows), Fraction(x1, columns), Fraction(y1, rows)


def cell_share(box, i, j, height, width):
    """The share of cell (i, j) of a grid that lies in ``box``, 0..1 coordinates."""
    x0, y0, x1, y1 = box
    across = min(x1 * width, j + 1) - max(x0 * width, j)
    down = min(y1 * height, i + 1) - max(y0 * height, i)
    return float(max(across, 0) * max(down, 0))


def components(cells):
    """The 4-connected components of a set of (row, column), in row-major order of their first cells."""
    left, found = set(cells), []
    for start in sorted(cells):
        if start in left:
            left.remove(start)
            component, queue = [], [start]
            while queue:
                i, j = queue.pop()
                component.append((i, j))
                for neighbour in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                    if neighbour in left:
                        left.remove(neighbour)
                        queue.append(neighbour)
            found.append(component)
    return found


def upsampled(signed, height, width):
    """Bilinear, half-pixel centres, edges held; of ``P / max P``; a list of rows."""
    top = max(value for row in signed for value in row)
    grid = [[max(value, 0.0) / top for value in row] for row in signed]

    def position(pixel, pixels, cells):
        place = min(max((pixel + 0.5) * cells / pixels - 0.5, 0.0), cells - 1.0)
        low = int(place)
        return low, min(low + 1, cells - 1), place - low

    rows = []
    for y in range(height):
        above, below, down = position(y, height, len(grid))
        row = []
        for x in range(width):
            left, right, across = position(x, width, len(grid[0]))
            upper = grid[above][left] * (1 - across) + grid[above][right] * across
            lower = grid[below][left] * (1 - across) + grid[below][right] * across
            row.append(upper * (1 - down) + lower * down)
        rows.append(row)
    return rows


def input_box_of(signed, placement):
    """x0, y0, x1, y1 in pixels of the model input, exclusive, of the largest component at >= 15 % of the maximum."""
    heatmap = upsampled(signed, placement.input_height, placement.input_width)
    level = 0.15 * max(map(max, heatmap))
    found = components({(y, x) for y, row in enumerate(heatmap) for x, value in enumerate(row) if value >= level})
    largest = max(found, key=len)  # the first of equals
    ys, xs = [y for y, _ in largest], [x for _, x in largest]
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def box_of(signed, placement):
    """The same in pixels of the original, clipped to it; NULL where nothing of it lies in the image."""
    x0, y0, x1, y1 = input_box_of(signed, placement)

    def to_original(value, offset, scale, limit):
        return min(max((value - offset) / scale, 0.0), float(limit))

    x0, x1 = (to_original(x, placement.offset_x, placement.scale_x, placement.width) for x in (x0, x1))
    y0, y1 = (to_original(y, placement.offset_y, placement.scale_y, placement.height) for y in (y0, y1))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else (NULL,) * 4


def is_near_a_level(signed, placement, levels=(0.15,)):
    """Whether an upsampled value is so near a threshold that float32 and float64 may disagree about it."""
    heatmap = upsampled(signed, placement.input_height, placement.input_width)
    top = max(map(max, heatmap))
    return any(abs(value - level * top) < 1e-5 * top for row in heatmap for value in row for level in levels)
