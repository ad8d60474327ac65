"""Ground-truth columns against an exact oracle and against cases worked out by hand."""

import math

import numpy as np
import pytest
from ground_truth_oracle import LEVELS, ground_truth_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from map_oracle import is_near_a_level

from transforms.placement import place
from transforms.statistics.ground_truth import ground_truth_statistics
from transforms.statistics.map_columns import map_statistics
from transforms.table.schema import statistics_schema

SQUARE = place(224, 224, 224, 224, "stretch")
COLUMNS = [
    name for name in statistics_schema().names if name.startswith(("gt_", "point_hit", "center_hit", "mask_iou"))
]
COLUMNS.remove("gt_boxes")  # as the manifest has them
COLUMNS.append("box_iou")
OF_THE_MAP = set(COLUMNS) - {"gt_status", "gt_area", "center_hit"}
NOTHING_TO_HIT = set(COLUMNS) - {"gt_status", "gt_area"}


def row_of(cam, boxes, placement=SQUARE):
    """The columns of one map, with None for NULL."""
    cams = np.array([cam], np.float32)
    status = map_statistics(cams, np.ones(1, bool), [placement])["status"]
    columns = ground_truth_statistics(cams, [boxes], [placement], status)
    row = {name: column[0] for name, column in columns.items()}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def nulls_of(row):
    return {name for name, value in row.items() if value is None}


def one_hot(i, j, height=7, width=7):
    cam = np.zeros((height, width), np.float32)
    cam[i, j] = 1
    return cam


def cell(i, j, rows=1, columns=1):
    """The box of cells of a 7 x 7 grid over 224 x 224 pixels."""
    return (32.0 * j, 32.0 * i, 32.0 * (j + columns), 32.0 * (i + rows))


corners = st.integers(-3, 15)
cams = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: hnp.arrays(
        np.float32, shape, elements=st.one_of(st.floats(-2, 4, width=32), st.sampled_from([0.0, 1.0, 4.0]))
    )
)
placements = st.builds(
    place, st.integers(1, 12), st.integers(1, 12), st.integers(5, 12), st.integers(5, 12),
    st.sampled_from(["stretch", "crop", "pad"]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    cam=cams,
    boxes=st.none() | st.lists(st.tuples(corners, corners, corners, corners), max_size=4).map(tuple),
    placement=placements,
)
@example(cam=one_hot(1, 1, 3, 3), boxes=((0, 0, 6, 12), (6, 0, 12, 12)), placement=place(12, 12, 9, 9, "stretch"))
@example(cam=one_hot(1, 1, 3, 3), boxes=((0, 0, 12, 12),), placement=place(12, 5, 9, 9, "pad"))
@example(cam=one_hot(1, 1, 3, 3), boxes=((2, 2, 3, 3), (2, 2, 4, 3)), placement=place(12, 12, 9, 9, "crop"))
def test_columns_are_those_of_the_oracle(cam, boxes, placement):
    expected = ground_truth_of(cam.tolist(), boxes, placement)
    row = row_of(cam, boxes, placement)
    assert set(row) == set(COLUMNS)
    if cam.max() > 0 and is_near_a_level(cam.tolist(), placement, LEVELS.values()):
        for name in ("box_iou", *LEVELS):
            del row[name]
    for name, value in row.items():
        wanted = expected.get(name)
        if value is None or wanted is None or name == "gt_status":
            assert value == wanted, name
        else:
            assert value == pytest.approx(float(wanted), abs=1e-9), name


# --- worked by hand


def test_a_map_and_a_box_by_hand():
    # p = 1/2 in cell (2, 2), 1/4 in (2, 3), 1/4 in (6, 6); the box takes cell (2, 2) whole and half of (2, 3).
    cam = one_hot(2, 2) * 2 + one_hot(2, 3) + one_hot(6, 6)
    row = row_of(cam, ((64.0, 64.0, 112.0, 96.0),))
    assert row["gt_status"] == "OK"
    assert row["gt_area"] == pytest.approx(1.5 / 49)
    assert row["gt_mass"] == pytest.approx(1 / 2 + 1 / 8)
    assert row["gt_lift"] == pytest.approx((5 / 8) / (1.5 / 49))
    assert (row["point_hit"], row["point_hit_15px"]) == (1, 1)
    assert row["center_hit"] == 0  # the centre is at 112, 112


def test_overlapping_boxes_count_once():
    boxes = (cell(1, 1, 2, 2), cell(2, 2, 2, 2), cell(1, 1, 2, 2))
    row = row_of(np.ones((7, 7)), boxes)
    assert row["gt_area"] == pytest.approx(7 / 49)
    assert row["gt_mass"] == pytest.approx(7 / 49)
    assert row["gt_lift"] == pytest.approx(1)


def test_tied_maxima_hit_by_their_fraction():
    cam = one_hot(0, 0) + one_hot(3, 3) + one_hot(6, 6) + one_hot(6, 0) / 2
    assert row_of(cam, (cell(3, 3),))["point_hit"] == pytest.approx(1 / 3)
    assert row_of(cam, (cell(3, 3), cell(6, 6)))["point_hit"] == pytest.approx(2 / 3)
    assert row_of(cam, (cell(6, 0),))["point_hit"] == 0


@pytest.mark.parametrize(
    ("gap_x", "gap_y", "near"),
    [(15, 0, 1), (15.01, 0, 0), (0, 15, 1), (9, 12, 1), (9.01, 12, 0), (12, 12, 0), (0, 0, 1), (-8, 0, 1)],
)
@pytest.mark.parametrize("side", ["before", "behind"])
def test_the_tolerance_of_15_pixels(gap_x, gap_y, near, side):
    # The peak is at 80, 80. A box behind it begins that far away, a box before it ends there.
    box = (80 + gap_x, 80 + gap_y, 200, 200) if side == "behind" else (5, 5, 80 - gap_x, 80 - gap_y)
    row = row_of(one_hot(2, 2), (box,))
    assert row["point_hit_15px"] == near
    inside = (gap_x < 0 and gap_y < 0) if side == "before" else (gap_x <= 0 and gap_y <= 0)
    assert row["point_hit"] == inside


def test_an_edge_through_a_peak_where_floats_round():
    # 25 of 50 pixels come out as 0.5000000000000001 of the input; the peak is at 0.5.
    photo = place(50, 50, 224, 224, "stretch")
    for beyond, before in (((25, 0, 50, 50), (0, 0, 25, 50)), ((0, 25, 50, 50), (0, 0, 50, 25))):
        for box, hit in ((beyond, 1), (before, 0)):
            row = row_of(one_hot(3, 3), (box,), photo)
            assert (row["point_hit"], row["center_hit"]) == (hit, hit)


def test_the_tolerance_grows_with_the_input():
    # At 448 x 224 the peak is at 160, 80 and the tolerance 30 across, 15 down.
    wide = place(448, 224, 224, 448, "stretch")
    assert row_of(one_hot(2, 2), ((189.9, 0, 300, 224),), wide)["point_hit_15px"] == 1
    assert row_of(one_hot(2, 2), ((190.1, 0, 300, 224),), wide)["point_hit_15px"] == 0
    assert row_of(one_hot(2, 2), ((0, 94.9, 448, 200),), wide)["point_hit_15px"] == 1
    assert row_of(one_hot(2, 2), ((0, 95.1, 448, 200),), wide)["point_hit_15px"] == 0


def test_box_iou_takes_the_best_box():
    # The 15 % box of this map is 85..139 squared (see the statistics' tests).
    cam = one_hot(3, 3)
    assert row_of(cam, ((85, 85, 139, 139),))["box_iou"] == pytest.approx(1)
    assert row_of(cam, ((85, 85, 112, 139),))["box_iou"] == pytest.approx(0.5)
    assert row_of(cam, ((0, 0, 60, 60), (85, 85, 112, 139), (85, 85, 139, 100)))["box_iou"] == pytest.approx(0.5)
    assert row_of(cam, ((0, 0, 60, 60),))["box_iou"] == 0


def test_mask_iou_by_hand():
    # The upper half is 1, the lower 0. Down a column of 4 cells of 2 pixels the upsampled map is
    # 1 1 1 .75 .25 0 0 0: 15 % takes 5 of 8 rows, 30 % and 50 % take 4.
    cam = np.zeros((4, 4))
    cam[:2] = 1
    small = place(8, 8, 8, 8, "stretch")
    row = row_of(cam, ((0, 0, 8, 4),), small)
    assert row["mask_iou_15"] == pytest.approx(4 / 5)
    assert row["mask_iou_30"] == row["mask_iou_50"] == pytest.approx(1)
    # 2.5 rows: shared 2.5, together 5 and 4.
    row = row_of(cam, ((0, 0, 8, 2.5),), small)
    assert row["mask_iou_15"] == pytest.approx(2.5 / 5)
    assert row["mask_iou_30"] == pytest.approx(2.5 / 4)


def test_boxes_go_through_the_crop():
    # The central 224 of 448 columns are seen; the box reaches 56 pixels into them, over the whole height.
    crop = place(448, 224, 224, 224, "crop")
    row = row_of(np.ones((4, 4)), ((0, 0, 112 + 56, 224),), crop)
    assert row["gt_area"] == pytest.approx(0.25)
    assert row_of(one_hot(3, 0), ((0, 0, 112 + 56, 224),), crop)["point_hit"] == 1
    assert row_of(one_hot(3, 2), ((0, 0, 112 + 56, 224),), crop)["point_hit"] == 0


def test_boxes_go_through_the_letterbox():
    # 448 x 224 lies in rows 56 to 167 of the input; its left half is a quarter of the input.
    pad = place(448, 224, 224, 224, "pad")
    row = row_of(np.ones((4, 4)), ((0, 0, 224, 224),), pad)
    assert (row["gt_area"], row["gt_mass"], row["gt_lift"]) == pytest.approx((0.25, 0.25, 1))
    # Heat on the bar above the box is no hit, for a box ends with the image.
    assert row_of(one_hot(0, 1), ((0, -500, 224, 224),), pad)["point_hit"] == 0


# --- degenerate cases


def test_no_boxes_in_the_manifest():
    assert nulls_of(row_of(one_hot(3, 3), None)) == set(COLUMNS)


@pytest.mark.parametrize(
    ("boxes", "status"),
    [
        ((), "NONE"),
        (((50, 50, 50, 90),), "EMPTY"),
        (((90, 50, 50, 90), (10, 10, 10, 10)), "EMPTY"),
        (((224, 0, 300, 224),), "OUT_OF_FRAME"),
        (((-50, -50, 0, 0), (0, 300, 100, 400)), "OUT_OF_FRAME"),
        (((50, 50, 50, 90), (224, 0, 300, 224)), "OUT_OF_FRAME"),
    ],
)
def test_nothing_to_hit(boxes, status):
    row = row_of(one_hot(3, 3), boxes)
    assert (row["gt_status"], row["gt_area"]) == (status, 0)
    assert nulls_of(row) == NOTHING_TO_HIT


def test_cropped_away():
    # Columns 112 to 335 are seen: the first box ends where they begin.
    crop = place(448, 224, 224, 224, "crop")
    for boxes in (((0, 0, 112, 224),), ((336, 0, 448, 224),), ((0, 0, 100, 50), (400, 0, 448, 224))):
        row = row_of(one_hot(3, 3), boxes, crop)
        assert (row["gt_status"], row["gt_area"]) == ("OUT_OF_FRAME", 0)
    # A crop whose edges are no round numbers in floats.
    odd = place(997, 613, 224, 224, "crop")
    assert row_of(one_hot(3, 3), ((0, 0, 192, 613),), odd)["gt_status"] == "OUT_OF_FRAME"
    assert row_of(one_hot(3, 3), ((0, 0, 193, 613),), odd)["gt_status"] == "SUBCELL"


def test_one_good_box_among_bad_ones_is_enough():
    row = row_of(one_hot(3, 3), ((50, 50, 50, 90), cell(3, 3), (500, 500, 600, 600)))
    assert (row["gt_status"], row["point_hit"], row["gt_mass"]) == ("OK", 1, 1)


@pytest.mark.parametrize("size", [(224, 224), (997, 613), (49, 1001)])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_full(size, resize):
    width, height = size
    placement = place(width, height, 224, 224, resize)
    cut = width // 3
    for boxes in (((0, 0, width, height),), ((0, 0, cut, height), (cut, -9, width + 9, height + 9))):
        row = row_of(one_hot(3, 3), boxes, placement)
        assert row["gt_status"] == "FULL"
        x0, y0, x1, y1 = placement.content
        assert row["gt_area"] == pytest.approx((x1 - x0) * (y1 - y0))
        assert (row["point_hit"], row["center_hit"]) == (1, 1)
    almost = ((0, 0, width, height - 1),) if resize != "crop" else ((0, 0, width // 2 + 1, height // 2 + 1),)
    assert row_of(one_hot(3, 3), almost, placement)["gt_status"] != "FULL"


def test_below_one_cell():
    assert row_of(one_hot(3, 3), (cell(3, 3),))["gt_status"] == "OK"
    row = row_of(one_hot(3, 3), ((96, 96, 128, 127),))
    assert row["gt_status"] == "SUBCELL"
    assert row["gt_mass"] == pytest.approx(31 / 32)
    assert row["gt_lift"] == pytest.approx(49)
    # Many small boxes are judged together.
    many = tuple((10.0 * k, 0.0, 10.0 * k + 8, 16.0) for k in range(20))
    assert row_of(one_hot(3, 3), many)["gt_status"] == "OK"


def test_a_zero_map_is_never_a_hit():
    for cam in (np.zeros((7, 7)), -np.ones((7, 7))):
        row = row_of(cam, (cell(2, 2, 3, 3),))
        assert (row["gt_status"], row["gt_area"], row["center_hit"]) == ("OK", pytest.approx(9 / 49), 1)
        assert nulls_of(row) == OF_THE_MAP


def test_a_map_that_is_not_finite_is_never_a_hit():
    row = row_of(np.full((7, 7), np.nan), (cell(2, 2, 3, 3),))
    assert (row["gt_status"], row["center_hit"]) == ("OK", 1)
    assert nulls_of(row) == OF_THE_MAP


def test_a_flat_map_points_nowhere():
    row = row_of(np.full((7, 7), 2.0), (cell(2, 2, 3, 3),))
    assert nulls_of(row) == {"point_hit", "point_hit_15px"}
    assert (row["gt_mass"], row["gt_lift"]) == (pytest.approx(9 / 49), pytest.approx(1))
    assert (row["box_iou"], row["mask_iou_50"]) == (pytest.approx(9 / 49), pytest.approx(9 / 49))


def test_the_centre_hits_or_not():
    assert row_of(one_hot(0, 0), ((112, 112, 150, 150),))["center_hit"] == 1
    assert row_of(one_hot(0, 0), ((80, 80, 112, 150),))["center_hit"] == 0
    # The centre of the photo, also where the bars differ by a pixel: 223 x 100 in 223 x 223 lies in rows 61 to 160, and
    # the centre of the input is row 50.5 of the photo.
    pad = place(223, 100, 223, 223, "pad")
    assert row_of(one_hot(0, 0), ((0, 50, 223, 50.4),), pad)["center_hit"] == 1
    assert row_of(one_hot(0, 0), ((0, 50.4, 223, 51),), pad)["center_hit"] == 0


def test_heat_on_padding_alone_is_a_miss():
    row = row_of(one_hot(0, 3), ((0, 0, 224, 20),), place(224, 32, 224, 224, "pad"))
    assert (row["box_iou"], row["point_hit"], row["mask_iou_15"]) == (0, 0, 0)


def test_a_row_is_bitwise_the_same_in_every_batch():
    rng = np.random.default_rng(8)
    maps = rng.normal(size=(12, 7, 7)).astype(np.float32)
    places = [place(90 + k, 70, 56, 56, ("stretch", "crop", "pad")[k % 3]) for k in range(12)]
    boxes = [tuple(tuple(np.sort(rng.uniform(0, 90, (2, 2)), axis=0).ravel()) for _ in range(k % 4)) for k in range(12)]
    status = map_statistics(maps, np.ones(12, bool), places)["status"]
    whole = ground_truth_statistics(maps, boxes, places, status)
    for row in range(12):
        alone = ground_truth_statistics(maps[[row]], [boxes[row]], [places[row]], status[[row]])
        for name, column in alone.items():
            np.testing.assert_array_equal(column, whole[name][[row]], err_msg=name)


def test_no_boxes_in_the_whole_batch():
    maps = np.ones((3, 7, 7), np.float32)
    columns = ground_truth_statistics(maps, [None] * 3, [SQUARE] * 3, np.full(3, "OK", object))
    assert set(columns) == set(COLUMNS)
    assert columns.pop("gt_status").tolist() == [None] * 3
    assert all(np.isnan(column).all() and column.shape == (3,) for column in columns.values())
