"""Averages over areas against sums written out, and against OpenCV's."""

import cv2
import numpy as np
import pytest

from transforms.images.resize import shrink_area

NOISE = np.random.default_rng(0)


def mean_by_hand(row: np.ndarray, start: float, end: float) -> float:
    return sum(value * max(0.0, min(end, i + 1) - max(start, i)) for i, value in enumerate(row)) / (end - start)


@pytest.mark.parametrize(("source", "target"), [(5, 3), (7, 2), (10, 9), (13, 1), (4, 4)])
def test_each_pixel_is_the_mean_of_what_it_covers(source, target):
    row = NOISE.integers(0, 256, source).astype(np.uint8)
    picture = np.broadcast_to(row[None, :, None], (6, source, 3)).copy()
    shrunk = shrink_area(picture, np.empty((5, target, 3), np.uint8))
    by_hand = [mean_by_hand(row, i * source / target, (i + 1) * source / target) for i in range(target)]
    assert np.abs(shrunk.astype(float) - np.array(by_hand)[None, :, None]).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("size", [(375, 500), (224, 300), (333, 224), (600, 223), (448, 672)])
def test_the_same_as_opencv(size):
    picture = NOISE.integers(0, 256, (*size, 3), np.uint8)
    height, width = min(size[0], 224), min(size[1], 224)
    expected = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    difference = np.abs(shrink_area(picture, np.empty_like(expected)).astype(int) - expected)
    assert difference.max() <= 1  # sums in another order, rounded
    assert (difference > 0).mean() < 1e-3


def test_it_writes_into_a_part_of_a_picture_and_nowhere_else():
    picture = NOISE.integers(0, 256, (77, 91, 3), np.uint8)
    canvas = np.zeros((40, 60, 3), np.uint8)
    shrink_area(picture, canvas[5:35, 10:40])
    np.testing.assert_array_equal(canvas[5:35, 10:40], cv2.resize(picture, (30, 30), interpolation=cv2.INTER_AREA))
    canvas[5:35, 10:40] = 0
    assert not canvas.any()
