"""Areas of boxes on grids, against exact fractions and by hand."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.placement import WHOLE
from transforms.statistics.coverage import BoxUnion, box_coverage

UNIT = 12  # corners of boxes are twelfths of the grid's side

twelfths = st.integers(0, UNIT)
spans = st.tuples(twelfths, twelfths).filter(lambda span: span[0] != span[1]).map(sorted)
boxes_on_grid = st.tuples(spans, spans).map(lambda span: (span[0][0], span[1][0], span[0][1], span[1][1]))
sides = st.integers(1, 6)


def shared(one, other):
    """What two boxes share: a box, maybe inside out."""
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def area(box):
    return max(box[2] - box[0], Fraction(0)) * max(box[3] - box[1], Fraction(0))


def union_area(boxes, within):
    """Inclusion and exclusion over all subsets of the boxes."""
    total = Fraction(0)
    for size in range(1, len(boxes) + 1):
        for subset in itertools.combinations(boxes, size):
            common = within
            for box in subset:
                common = shared(common, box)
            total -= (-1) ** size * area(common)
    return total


def exact_coverage(boxes, height, width):
    """The share of every cell of the grid that lies in the union of boxes in twelfths."""
    boxes = [tuple(Fraction(edge, UNIT) for edge in box) for box in boxes]
    cells = [
        [
            (Fraction(j, width), Fraction(i, height), Fraction(j + 1, width), Fraction(i + 1, height))
            for j in range(width)
        ]
        for i in range(height)
    ]
    return [[float(union_area(boxes, cell) * height * width) for cell in row] for row in cells]


anywhere = st.integers(-6, 18)  # boxes outside the grid, inside out and of no area too


@settings(max_examples=150, deadline=None)
@given(box=st.tuples(anywhere, anywhere, anywhere, anywhere), height=sides, width=sides)
def test_one_box(box, height, width):
    coverage = box_coverage(np.array(box) / UNIT, height, width)
    np.testing.assert_allclose(coverage, exact_coverage([box], height, width), atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(boxes=st.lists(boxes_on_grid, min_size=1, max_size=5), height=sides, width=sides, seed=st.integers(0, 99))
def test_a_union(boxes, height, width, seed):
    union = BoxUnion.of(np.array(boxes) / UNIT)
    expected = np.array(exact_coverage(boxes, height, width))
    np.testing.assert_allclose(union.coverage(height, width), expected, atol=1e-12)
    assert union.coverage(height, width).max() <= 1
    assert union.area == pytest.approx(expected.mean(), abs=1e-12)
    masks = np.random.default_rng(seed).random((height, width, 3)) < 0.5
    shared, areas = union.shared_areas(masks.view(np.uint8))
    np.testing.assert_allclose(shared, [expected[masks[:, :, k]].sum() for k in range(3)], atol=1e-11)
    np.testing.assert_array_equal(areas, masks.sum(axis=(0, 1)))


def test_a_box_by_hand():
    # On 2 x 4 cells: rows 0.25 to 0.75 take half of both rows; columns 0.125 to 0.75 half of the first, all of two.
    coverage = box_coverage(np.array([0.125, 0.25, 0.75, 0.75]), 2, 4)
    np.testing.assert_array_equal(coverage, [[0.25, 0.5, 0.5, 0], [0.25, 0.5, 0.5, 0]])


def test_boxes_in_an_array_of_any_shape():
    boxes = np.array([[WHOLE, (0, 0, 0.5, 1), (0.5, 0.5, 0.5, 0.9)]])
    coverage = box_coverage(boxes, 2, 2)
    np.testing.assert_array_equal(coverage, [[[[1, 1], [1, 1]], [[1, 0], [1, 0]], [[0, 0], [0, 0]]]])


def test_a_union_by_hand():
    # An L of three quarters out of two halves that share a quarter, with one of them given twice.
    union = BoxUnion.of(np.array([[0, 0, 0.5, 1], [0, 0.5, 1, 1], [0, 0, 0.5, 1]]))
    assert union.area == 0.75
    np.testing.assert_array_equal(union.coverage(2, 2), [[1, 0], [1, 1]])
    np.testing.assert_array_equal(union.coverage(1, 1), [[0.75]])
    upper, right = [[1, 1], [0, 0]], [[0, 1], [0, 1]]
    shared, areas = union.shared_areas(np.stack([upper, right], axis=-1).astype(np.uint8))
    np.testing.assert_array_equal(shared, [1, 1])
    np.testing.assert_array_equal(areas, [2, 2])


def test_a_hole_is_not_in_the_union():
    frame = np.array([[0, 0, 1, 0.25], [0, 0.75, 1, 1], [0, 0, 0.25, 1], [0.75, 0, 1, 1]])
    union = BoxUnion.of(frame)
    assert union.area == 0.75
    ring = np.ones((4, 4))
    ring[1:3, 1:3] = 0
    np.testing.assert_array_equal(union.coverage(4, 4), ring)


def test_many_boxes():
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.integers(0, 65, (300, 2, 2)), axis=1).reshape(300, 4)
    boxes = boxes[(boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])]
    raster = np.zeros((64, 64), bool)
    for x0, y0, x1, y1 in boxes:
        raster[y0:y1, x0:x1] = True
    union = BoxUnion.of(boxes / 64)
    np.testing.assert_allclose(union.coverage(64, 64), raster, atol=1e-12)
    assert union.area == pytest.approx(raster.mean())
