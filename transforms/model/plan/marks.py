"""Marks at known places of an image, and where a tensor answers to them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

_GREY = 96, 160  # what the marks are put on: a quiet noise, for nothing may be constant where a model divides by it


@dataclasses.dataclass(frozen=True)
class Response:
    """Where a map changed."""

    centre: tuple[float, float]  # x, y in 0..1 of the map
    strength: float  # the largest change
    area: int  # cells that change by half of that or more


def marked_images(
    height: int,
    width: int,
    places: Sequence[tuple[float, float]],
    colour: Sequence[int],
    share: tuple[float, float] = (1 / 12, 1 / 12),
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """A quiet noise, and the same with a mark at one of n places: uint8 ``[1 + n, H, W, 3]``.

    Args:
        places: x and y in 0..1.
        share: the height and width of a mark, in 0..1 of the image's.

    Returns:
        The images, and the centres of the marks, which lie on whole pixels: x and y in 0..1, float64 ``[n, 2]``.
    """
    plain = np.random.default_rng(seed).integers(*_GREY, (height, width, 3), np.uint8)
    rows, columns = max(2, int(height * share[0])), max(2, int(width * share[1]))
    images, centres = [plain], []
    for x, y in places:
        top, left = round(y * height - rows / 2), round(x * width - columns / 2)
        marked = plain.copy()
        marked[max(top, 0) : top + rows, max(left, 0) : left + columns] = colour
        images.append(marked)
        centres.append(((left + columns / 2) / width, (top + rows / 2) / height))
    return np.stack(images), np.array(centres)


def centre_of_response(change: np.ndarray) -> Response:
    """The centre of the cells that change by half of the largest change or more, each by how much it changes.

    Args:
        change: float64 ``[h, w]``, not negative.
    """
    height, width = change.shape
    largest = float(change.max())
    weights = np.where(change >= 0.5 * largest, change, 0.0) if largest > 0 else np.ones_like(change)
    total = weights.sum()
    x = float((weights.sum(axis=0) * (np.arange(width) + 0.5)).sum() / total / width)
    y = float((weights.sum(axis=1) * (np.arange(height) + 0.5)).sum() / total / height)
    return Response((x, y), largest, int((weights > 0).sum()))
