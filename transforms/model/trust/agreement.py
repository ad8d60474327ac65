"""Maps against maps and boxes, in the frame of the model input. No TensorFlow here."""

from collections.abc import Sequence

import cv2
import numpy as np

from transforms.placement import WHOLE
from transforms.records import Box
from transforms.statistics import upsample


def over_input(cam: np.ndarray, height: int, width: int, seen: Box) -> np.ndarray:
    """A map ``[h, w]`` on the pixels of the model input, float32 ``[height, width]``, bilinear; NaN where none lies.

    Args:
        seen: what the map covers, in 0..1 of the input: less where the model crops, beyond it where the model pads.
    """
    if seen == WHOLE:
        return upsample(cam, height, width)
    x0, y0, x1, y1 = seen
    rows, columns = cam.shape
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width - x0) / (x1 - x0)
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height - y0) / (y1 - y0)
    of_x, of_y = (np.ascontiguousarray(each, np.float32) for each in np.broadcast_arrays(
        x[None] * columns - 0.5, y[:, None] * rows - 0.5))  # fmt: skip
    values = cv2.remap(cam.astype(np.float32), of_x, of_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    values[((y < 0) | (y > 1))[:, None] | ((x < 0) | (x > 1))[None]] = np.nan
    return values


def agreement(
    name: str, maps: np.ndarray, others: np.ndarray | None, shift: int, size: tuple[int, int], seen: Box = WHOLE
) -> np.ndarray:
    """Pearson correlation of heatmaps, ``[N]``; NaN where one is constant or there is none, as of a baseline.

    Args:
        name: flip, shift, or another measure, for which the maps are of images that lie alike.
        shift: pixels that the images of ``others`` are moved to the right and down.
        size: of the model input, pixels.
    """
    if others is None:
        return np.full(len(maps), np.nan)
    own, other = np.maximum(maps, 0), np.maximum(others, 0)
    if name == "shift" or (name == "flip" and seen != WHOLE):
        own, other = (np.stack([over_input(each, *size, seen) for each in both]) for both in (own, other))
    if name == "flip":
        other = other[:, :, ::-1]
    if name == "shift":
        own, other = own[:, : size[0] - shift, : size[1] - shift], other[:, shift:, shift:]
    return np.array([_correlation(a.ravel(), b.ravel()) for a, b in zip(own, other, strict=True)])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known].astype(np.float64), b[known].astype(np.float64)
    if not len(a):
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / length) if length > 1e-12 * a.size else float("nan")


def pointing(maps: np.ndarray, boxes: Sequence[Sequence[Box] | None], seen: Box = WHOLE) -> np.ndarray:
    """1 where the largest cell's centre lies in a box, less 1 where the image's centre does; NaN without boxes.

    A map without a positive cell points nowhere: a miss.
    """
    x0, y0, x1, y1 = seen
    values = np.full(len(maps), np.nan)
    for i, (cam, own) in enumerate(zip(maps, boxes, strict=True)):
        if own:
            row, column = divmod(int(cam.argmax()), cam.shape[1])
            x, y = (column + 0.5) / cam.shape[1], (row + 0.5) / cam.shape[0]
            peak = x0 + x * (x1 - x0), y0 + y * (y1 - y0)
            values[i] = float(cam.max() > 0 and _within(peak, own)) - float(_within((0.5, 0.5), own))
    return values


def _within(point: tuple[float, float], boxes: Sequence[Box]) -> bool:
    return any(x0 <= point[0] <= x1 and y0 <= point[1] <= y1 for x0, y0, x1, y1 in boxes)
