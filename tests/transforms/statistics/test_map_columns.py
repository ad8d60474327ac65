"""Map columns against a slow oracle and against maps worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from map_oracle import is_near_a_level, statistics_of

from transforms.placement import place
from transforms.statistics.map_columns import map_statistics, region_statistics
from transforms.table.schema import statistics_schema

SQUARE = place(224, 224, 224, 224, "stretch")
BOX = ("box_x0", "box_y0", "box_x1", "box_y1")


def row_of(cam, placement=SQUARE, finite=True):
    """The columns of one map, with None for NULL."""
    columns = map_statistics(np.array([cam], np.float32), np.array([finite]), [placement])
    assert all(len(column) == 1 for column in columns.values())
    row = {}
    for name, column in columns.items():
        value = column[0].tolist() if name == "cam" else column[0]
        row[name] = None if isinstance(value, float) and math.isnan(value) else value
    return row


def one_hot(height, width, i, j):
    cam = np.zeros((height, width), np.float32)
    cam[i, j] = 2.0
    return cam


def nulls_of(row):
    return {name for name, value in row.items() if value is None or (name == "cam" and all(map(math.isnan, value)))}


NEEDS_MASS = {
    "entropy", "effective_area", "gini", "top10_mass", "area_15", "area_50", "blob_count", "largest_blob_mass",
    "centroid_x", "centroid_y", "spread_x", "spread_y", "peak_x", "peak_y", "peak_ties", "center_distance",
    "box_x0", "box_y0", "box_x1", "box_y1", "border_mass", "border_lift", "corner_mass_tl", "corner_mass_tr",
    "corner_mass_bl", "corner_mass_br", "corner_lift", "center_mass", "padding_mass",
}  # fmt: skip
MAGNITUDE = {"cam_max", "cam_min", "positive_mass", "negative_mass"}
MAP_ITSELF = {"cam", "cam_height", "cam_width"}


def test_every_column_is_one_of_the_schema_and_none_of_the_groups_is_forgotten():
    row = row_of(np.ones((3, 3)))
    assert set(row) == NEEDS_MASS | MAGNITUDE | MAP_ITSELF | {"status"}
    assert set(row) <= set(statistics_schema().names)


# --- against the oracle


def cams_of(shape):
    values = st.one_of(
        st.floats(-8, 8, width=32),
        st.sampled_from([0.0, -0.0, 1.0, 0.5, 0.15, 3.0, 20.0, -1.0]),
    )
    return hnp.arrays(np.float32, shape, elements=values)


placements = st.builds(
    place,
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(7, 20),
    st.integers(7, 20),
    st.sampled_from(["stretch", "crop", "pad"]),
)


@settings(max_examples=250, deadline=None)
@given(cam=st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(cams_of), placement=placements)
def test_columns_are_those_of_the_oracle(cam, placement):
    expected = statistics_of(cam.tolist(), placement)
    row = row_of(cam, placement)
    if expected["status"] in ("OK", "FLAT") and is_near_a_level(cam.tolist(), placement):
        for name in BOX:
            del expected[name], row[name]
    assert row.pop("cam") == pytest.approx(expected.pop("cam"), abs=2**-11)
    for name, value in row.items():
        wanted = expected.get(name)
        if isinstance(wanted, float) and value is not None:
            assert value == pytest.approx(wanted, rel=1e-9, abs=1e-9), name
        else:
            assert value == wanted, name


@pytest.mark.parametrize("shape", [(7, 7), (14, 14), (8, 5), (1, 9), (9, 1), (28, 28)])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_random_maps_are_those_of_the_oracle(shape, resize):
    rng = np.random.default_rng(shape)
    cams = rng.normal(size=(4, *shape)).astype(np.float32)
    places = [place(90, 61, 56, 64, resize), place(61, 90, 56, 64, resize)] * 2
    columns = map_statistics(cams, np.ones(4, bool), places)
    for row, placement in enumerate(places):
        for name, wanted in statistics_of(cams[row].tolist(), placement).items():
            if name == "status":
                assert columns[name][row] == wanted
            elif name == "cam":
                assert columns[name][row].tolist() == pytest.approx(wanted, abs=2**-11)
            elif wanted is None:
                assert np.isnan(columns[name][row]), name
            else:
                assert columns[name][row] == pytest.approx(wanted, rel=1e-9, abs=1e-12), name


# --- worked by hand


def test_a_3x3_map():
    # 8 4 0
    # 0 2 0    M = 16: p = 1/2, 1/4, 1/8, 1/8
    # 2 -1 -3
    row = row_of([[8, 4, 0], [0, 2, 0], [2, -1, -3]])
    assert row["status"] == "OK"
    assert (row["cam_max"], row["cam_min"], row["positive_mass"], row["negative_mass"]) == (8, -3, 16, 4)
    # -sum(p ln p) = (1/2 + 2/4 + 3/8 + 3/8) ln 2 = 1.75 ln 2; ln n = 2 ln 3
    assert row["entropy"] == pytest.approx(1.75 * math.log(2) / (2 * math.log(3)))
    # sum(p^2) = 16/64 + 4/64 + 1/64 + 1/64 = 22/64
    assert row["effective_area"] == pytest.approx(64 / (9 * 22))
    # ascending 0 0 0 0 0 2 2 4 8 with weights 2k - 10 = 2 (k = 6), 4, 6, 8: 4 + 8 + 24 + 64 = 100; / (n M) = 9 * 16
    assert row["gini"] == pytest.approx(100 / 144)
    assert row["top10_mass"] == 0.5  # ceil(9 / 10) = 1 cell
    assert row["area_15"] == pytest.approx(4 / 9)  # 2 / 8 = 0.25 counts
    assert row["area_50"] == pytest.approx(2 / 9)  # 4 / 8 = 0.5 counts
    # 8 4 and the 2 below the 4 touch; the 2 in the corner touches the middle only diagonally
    assert (row["blob_count"], row["largest_blob_mass"]) == (2, 14 / 16)
    # x: (8 + 2)/16 at 1/6, (4 + 2)/16 at 1/2; y: 12/16 at 1/6, 2/16 at 1/2, 2/16 at 5/6
    assert row["centroid_x"] == pytest.approx(10 / 16 / 6 + 6 / 16 / 2)
    assert row["centroid_y"] == pytest.approx(12 / 16 / 6 + 2 / 16 / 2 + 2 / 16 * 5 / 6)
    # x has two places 1/3 apart with shares 10/16 and 6/16: variance a b d^2
    assert row["spread_x"] == pytest.approx(math.sqrt(10 / 16 * 6 / 16) / 3)
    assert (row["peak_x"], row["peak_y"], row["peak_ties"]) == (pytest.approx(1 / 6), pytest.approx(1 / 6), 1)
    assert row["border_mass"] == 14 / 16
    assert row["border_lift"] == pytest.approx(14 / 16 * 9 / 8)
    corners = [row[f"corner_mass_{corner}"] for corner in ("tl", "tr", "bl", "br")]
    assert corners == [0.5, 0, 2 / 16, 0]  # ceil(3 / 4) = 1 cell each
    assert row["corner_lift"] == pytest.approx(0.5 * 9)
    assert row["center_mass"] == 14 / 16  # ceil(3 / 2) = 2 rows and columns from 0: 8 4 / 0 2
    assert row["padding_mass"] is None
    assert row["cam"] == [1, 0.5, 0, 0, 0.25, 0, 0.25, 0, 0]


def test_a_4x4_map():
    # Two blobs of the same maximum: 3 3 above, 1 2 3 below.
    cam = [[0, 3, 3, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 2, 3]]
    row = row_of(cam)
    assert (row["peak_x"], row["peak_y"], row["peak_ties"]) == (0.375, 0.125, 3)
    assert (row["blob_count"], row["largest_blob_mass"]) == (2, 0.5)
    assert row["top10_mass"] == pytest.approx(6 / 12)  # ceil(16 / 10) = 2 cells
    assert (row["border_mass"], row["border_lift"]) == (1, pytest.approx(16 / 12))
    assert row["center_mass"] == 0  # rows and columns 1 and 2
    assert row["corner_mass_br"] == 0.25
    assert row["corner_lift"] == 4
    assert row["centroid_y"] == pytest.approx(0.5)
    assert row["spread_y"] == pytest.approx(0.375)  # half of the mass on either side


def test_a_7x7_map():
    # 1 in every cell of the ring, 2 in the middle 3 x 3; a ceil(7 / 4) = 2 wide corner holds 3 cells of the ring.
    cam = np.zeros((7, 7))
    cam[[0, -1]], cam[:, [0, -1]] = 1, 1
    cam[2:5, 2:5] = 2
    row = row_of(cam)
    assert row["positive_mass"] == 24 + 18
    assert row["border_mass"] == pytest.approx(24 / 42)
    assert row["border_lift"] == pytest.approx((24 / 42) / (24 / 49))
    for corner in ("tl", "tr", "bl", "br"):
        assert row[f"corner_mass_{corner}"] == pytest.approx(3 / 42)
    assert row["corner_lift"] == pytest.approx((3 / 42) / (4 / 49))
    assert row["center_mass"] == pytest.approx(18 / 42)  # rows and columns 1 to 4 hold all of the middle
    assert row["top10_mass"] == pytest.approx(10 / 42)  # ceil(49 / 10) = 5 cells of 2
    assert (row["blob_count"], row["largest_blob_mass"]) == (2, pytest.approx(24 / 42))
    assert row["center_distance"] == pytest.approx(0, abs=1e-12)
    assert row["peak_ties"] == 9
    assert (row["area_15"], row["area_50"]) == (pytest.approx(33 / 49), pytest.approx(33 / 49))


@pytest.mark.parametrize("corner", ["tl", "tr", "bl", "br"])
@pytest.mark.parametrize("shape", [(7, 7), (2, 2), (3, 5), (14, 7)])
def test_one_hot_in_every_corner(corner, shape):
    height, width = shape
    i, j = height - 1 if "b" in corner else 0, width - 1 if "r" in corner else 0
    row = row_of(one_hot(height, width, i, j))
    n = height * width
    assert row["entropy"] == 0
    assert math.copysign(1, row["entropy"]) == 1
    assert row["effective_area"] == pytest.approx(1 / n)
    assert row["gini"] == pytest.approx(1 - 1 / n)
    assert (row["top10_mass"], row["largest_blob_mass"], row["blob_count"], row["peak_ties"]) == (1, 1, 1, 1)
    assert row["area_15"] == row["area_50"] == pytest.approx(1 / n)
    assert (
        (row["centroid_x"], row["centroid_y"])
        == (row["peak_x"], row["peak_y"])
        == ((j + 0.5) / width, (i + 0.5) / height)
    )
    assert (row["spread_x"], row["spread_y"]) == (0, 0)
    assert {name for name in ("tl", "tr", "bl", "br") if row[f"corner_mass_{name}"] == 1} == {corner}
    assert row["corner_lift"] == pytest.approx(n / (math.ceil(height / 4) * math.ceil(width / 4)))
    assert row["border_mass"] == 1
    # The box touches its corner of the image.
    assert (row["box_x1"] == 224) == ("r" in corner)
    assert (row["box_x0"] == 0) == ("l" in corner)
    assert (row["box_y1"] == 224) == ("b" in corner)
    assert (row["box_y0"] == 0) == ("t" in corner)


def test_the_box_of_one_hot_cell_by_hand():
    # On one axis the upsampled cell 3 of 7 is 1 - |pixel centre - 112| / 32, at most 63/64. A pixel of the middle row
    # belongs to the box where that is >= 0.15 * 63/64: |pixel centre - 112| <= 32 * 0.85234 = 27.27. Centres lie at
    # halves: 85.5 is in, 84.5 is out, so pixels 85 to 138, exclusive edge 139.
    row = row_of(one_hot(7, 7, 3, 3))
    assert tuple(row[name] for name in BOX) == (85, 85, 139, 139)
    # Stretched from 448 x 672, in pixels of the original.
    row = row_of(one_hot(7, 7, 3, 3), place(448, 672, 224, 224, "stretch"))
    assert tuple(row[name] for name in BOX) == pytest.approx((170, 255, 278, 417))
    # The central 448 of 640 columns.
    row = row_of(one_hot(7, 7, 3, 3), place(640, 448, 224, 224, "crop"))
    assert tuple(row[name] for name in BOX) == pytest.approx((96 + 170, 170, 96 + 278, 278))
    # 448 x 224 shrunk to 224 x 112 between two bars of 56.
    row = row_of(one_hot(7, 7, 3, 3), place(448, 224, 224, 224, "pad"))
    assert tuple(row[name] for name in BOX) == pytest.approx((170, 2 * (85 - 56), 278, 2 * (139 - 56)))


def test_of_equal_components_the_box_takes_the_first_row_by_row():
    cam = one_hot(7, 7, 1, 5) + one_hot(7, 7, 5, 1)
    row = row_of(cam)
    assert row["box_x0"] > 112 > row["box_y1"]
    cam += one_hot(7, 7, 6, 6) / 5  # a smaller one behind them
    row = row_of(cam)
    assert row["box_x0"] > 112 > row["box_y1"]


def test_a_box_on_padding_alone_is_null():
    # 224 x 32 pixels lie in rows 96 to 127; the heat is in the first row of cells, far above.
    row = row_of(one_hot(7, 7, 0, 3), place(224, 32, 224, 224, "pad"))
    assert [row[name] for name in BOX] == [None] * 4
    assert row["padding_mass"] == 1


def test_padding_counts_by_the_share_of_each_cell():
    # 224 x 112: bars of 56 pixels = 1.75 cells; row 1 of the cells is padding for three quarters.
    letterbox = place(448, 224, 224, 224, "pad")
    assert row_of(one_hot(7, 7, 1, 2), letterbox)["padding_mass"] == pytest.approx(0.75)
    assert row_of(one_hot(7, 7, 3, 2), letterbox)["padding_mass"] == 0
    assert row_of(np.ones((7, 7)), letterbox)["padding_mass"] == pytest.approx(0.5)


@pytest.mark.parametrize("side", [49, 7, 1, 103, 3000, 224, 333])
def test_a_square_image_has_no_padding_and_a_crop_never_has(side):
    # 224 / 49 * 49 is not 224 in floats.
    for resize in ("stretch", "pad", "crop"):
        assert row_of(np.ones((7, 7)), place(side, side, 224, 224, resize))["padding_mass"] is None
    assert row_of(np.ones((7, 7)), place(side, 2 * side + 5, 224, 224, "crop"))["padding_mass"] is None


# --- outcomes


@pytest.mark.parametrize(
    "cam", [np.zeros((7, 7)), -np.ones((7, 7)), np.full((7, 7), -0.0), -np.eye(7), np.full((1, 1), -3)]
)
def test_a_map_without_a_positive_cell_is_zero(cam):
    row = row_of(cam)
    assert row["status"] == "ZERO"
    assert nulls_of(row) == NEEDS_MASS
    assert (row["cam_max"], row["cam_min"], row["positive_mass"]) == (cam.max(), cam.min(), 0)
    assert row["negative_mass"] == -cam.sum()
    for name in MAGNITUDE:
        assert row[name] != 0 or math.copysign(1, row[name]) == 1, name
    assert row["cam"] == [0] * cam.size


@pytest.mark.parametrize("step", [0.0, 5e-7])
def test_a_flat_map(step):
    cam = np.full((7, 7), 3.0)
    cam[2, 4] *= 1 - step
    row = row_of(cam)
    assert row["status"] == "FLAT"
    assert row["entropy"] == 1
    assert nulls_of(row) == {"peak_x", "peak_y", "padding_mass"}
    assert row["peak_ties"] == (49 if step == 0 else 48)
    assert (row["border_lift"], row["corner_lift"]) == (pytest.approx(1, rel=1e-6), pytest.approx(1, rel=1e-6))
    assert row["effective_area"] == pytest.approx(1)
    assert row["gini"] == pytest.approx(0, abs=1e-6)
    assert tuple(row[name] for name in BOX) == (0, 0, 224, 224)


def test_a_little_above_the_limit_is_not_flat():
    cam = np.full((7, 7), 3.0)
    cam[2, 4] *= 1 - 3e-6
    assert row_of(cam)["status"] == "OK"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_says_nothing_else(value):
    cam = np.ones((7, 7))
    cam[3, 3] = value
    row = row_of(cam)
    assert row["status"] == "NONFINITE"
    assert nulls_of(row) == set(row) - {"status"}


def test_a_finite_map_with_scores_that_are_not():
    row = row_of(np.eye(7), finite=False)
    assert row["status"] == "NONFINITE"
    assert nulls_of(row) == set(row) - {"status"}


def test_a_grid_of_one_cell_is_flat():
    row = row_of([[5.0]])
    assert (row["status"], row["entropy"], row["gini"], row["effective_area"], row["top10_mass"]) == (
        "FLAT",
        1,
        0,
        1,
        1,
    )
    assert (row["border_mass"], row["border_lift"], row["corner_lift"], row["center_mass"]) == (1, 1, 1, 1)
    assert (row["centroid_x"], row["centroid_y"], row["center_distance"]) == (0.5, 0.5, 0)


def test_a_grid_of_2x2_is_all_border():
    row = row_of([[1, 2], [3, 4]])
    assert (row["border_mass"], row["border_lift"]) == (pytest.approx(1), pytest.approx(1))
    assert [row[f"corner_mass_{corner}"] for corner in ("tl", "tr", "bl", "br")] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert row["corner_lift"] == pytest.approx(1.6)
    assert row["center_mass"] == pytest.approx(0.1)  # one cell; the smaller rest, none, is above


def test_a_grid_of_one_row():
    # ceil(1 / 4) = 1 row and ceil(5 / 4) = 2 columns: upper and lower corners are the same cells.
    row = row_of([[1, 2, 3, 4, 0]])
    assert (row["border_mass"], row["border_lift"]) == (pytest.approx(1), pytest.approx(1))
    assert (row["corner_mass_tl"], row["corner_mass_bl"]) == (pytest.approx(0.3), pytest.approx(0.3))
    assert (row["corner_mass_tr"], row["corner_mass_br"]) == (pytest.approx(0.4), pytest.approx(0.4))
    assert row["corner_lift"] == pytest.approx(0.4 / (2 / 5))
    assert row["center_mass"] == pytest.approx(0.9)  # columns 1 to 3
    assert (row["spread_y"], row["centroid_y"]) == (0, 0.5)


# --- invariance


def columns_equal(left, right, skip=()):
    assert left.keys() == right.keys()
    for name in left.keys() - set(skip):
        if name == "status":
            assert left[name].tolist() == right[name].tolist()
        else:
            np.testing.assert_array_equal(left[name].view(np.uint8), right[name].view(np.uint8), err_msg=name)


@pytest.mark.parametrize("shape", [(7, 7), (1, 1), (1, 3), (2, 2), (13, 17), (4, 4)])
def test_a_row_is_bitwise_the_same_in_every_batch(shape):
    rng = np.random.default_rng(5)
    cams = rng.normal(size=(37, *shape)).astype(np.float32)
    cams[4], cams[5], cams[6, 0, 0], cams[36] = 0, 1, np.nan, -1
    finite = np.ones(37, bool)
    finite[9] = False
    places = [place(100 + 7 * k, 150, 40, 56, ("stretch", "crop", "pad")[k % 3]) for k in range(37)]
    whole = map_statistics(cams, finite, places)
    for rows in ([0], [6], [36], [9, 4, 5], list(range(36, -1, -1)), list(range(0, 37, 5))):
        part = map_statistics(cams[rows], finite[rows], [places[row] for row in rows])
        columns_equal(part, {name: column[rows] for name, column in whole.items()})


@pytest.mark.parametrize("exponent", [-100, -20, 30, 125])
def test_scaling_by_a_power_of_two_changes_nothing_but_the_magnitude(exponent):
    rng = np.random.default_rng(3)
    cams = rng.uniform(-1, 1, size=(20, 7, 7)).astype(np.float32)
    scaled = np.ldexp(cams, exponent)
    places = [SQUARE] * 20
    before = map_statistics(cams, np.ones(20, bool), places)
    after = map_statistics(scaled, np.ones(20, bool), places)
    columns_equal(before, after, MAGNITUDE)
    for name in MAGNITUDE:
        np.testing.assert_array_equal(after[name], np.ldexp(before[name], exponent))


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-30, 1e30, 3.4e38])
def test_one_hot_of_every_scale(scale):
    row = row_of(one_hot(7, 7, 2, 5) / 2 * np.float32(scale))
    assert row["status"] == "OK"
    assert row["cam_max"] == row["positive_mass"] == np.float32(scale)
    assert (row["entropy"], row["area_15"], row["blob_count"]) == (0, pytest.approx(1 / 49), 1)
    assert row["cam"][2 * 7 + 5] == 1


def test_mirrored_maps_have_mirrored_statistics():
    cam = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    row, mirrored = row_of(cam), row_of(cam[:, ::-1])
    assert mirrored["centroid_x"] == pytest.approx(1 - row["centroid_x"])
    assert mirrored["corner_mass_tl"] == pytest.approx(row["corner_mass_tr"])
    assert (mirrored["box_x0"], mirrored["box_x1"]) == (224 - row["box_x1"], 224 - row["box_x0"])
    for name in ("entropy", "gini", "blob_count", "border_mass", "center_mass", "centroid_y", "spread_x", "area_15"):
        assert mirrored[name] == pytest.approx(row[name]), name


def test_the_stored_map_gives_the_positive_part_back():
    cams = np.random.default_rng(2).normal(size=(16, 7, 7)).astype(np.float32) * 1e3
    columns = map_statistics(cams, np.ones(16, bool), [SQUARE] * 16)
    assert columns["cam"].dtype == np.float32
    restored = columns["cam"].astype(np.float64).reshape(16, 7, 7) * columns["cam_max"][:, None, None]
    positive = np.maximum(cams, 0)
    np.testing.assert_allclose(restored, positive, rtol=2**-23)
    assert (columns["cam"].max(axis=1) == 1).all()


def test_blobs_of_neighbouring_maps_in_a_batch_stay_apart():
    cams = np.ones((5, 3, 3), np.float32)
    cams[2] = 0
    cams[3, 1] = 0
    columns = map_statistics(cams, np.ones(5, bool), [SQUARE] * 5)
    np.testing.assert_array_equal(columns["blob_count"], [1, 1, np.nan, 2, 1])
    np.testing.assert_allclose(columns["largest_blob_mass"], [1, 1, np.nan, 0.5, 1], rtol=1e-15)


def test_a_batch_of_none():
    columns = map_statistics(np.zeros((0, 7, 5), np.float32), np.zeros(0, bool), [])
    assert set(columns) == NEEDS_MASS | MAGNITUDE | MAP_ITSELF | {"status"}
    assert columns.pop("cam").shape == (0, 35)
    assert all(column.shape == (0,) for column in columns.values())
    regions = region_statistics(np.zeros((0, 7, 5), np.float32), {"left": (0, 0, 0.5, 1)}, columns["status"])
    assert [column.shape for column in regions.values()] == [(0,), (0,)]


# --- declared regions


def test_regions_by_hand():
    cam = [[4, 0], [0, 12]]
    status = np.array(["OK"], object)
    regions = {"left": (0, 0, 0.5, 1), "middle": (0.25, 0.25, 0.75, 0.75), "whole": (0, 0, 1, 1)}
    columns = region_statistics(np.array([cam], np.float32), regions, status)
    assert {name: column.tolist() for name, column in columns.items()} == {
        "region_left_mass": [0.25],
        "region_left_lift": [0.5],
        "region_middle_mass": [0.25],  # a quarter of every cell
        "region_middle_lift": [1.0],
        "region_whole_mass": [1.0],
        "region_whole_lift": [1.0],
    }


def test_a_band_at_40_percent_of_the_height():
    # 0.4 to 0.5 of 7 rows: row 2.8 to 3.5, a fifth of row 2 and half of row 3.
    status = np.full(2, "OK", object)
    cams = np.stack([one_hot(7, 7, 2, 6), one_hot(7, 7, 3, 0)])
    columns = region_statistics(cams, {"watermark": (0, 0.4, 1, 0.5)}, status)
    assert columns["region_watermark_mass"] == pytest.approx([0.2, 0.5])
    assert columns["region_watermark_lift"] == pytest.approx([2, 5])


def test_regions_need_mass():
    cams = np.zeros((3, 4, 4), np.float32)
    cams[1], cams[2] = np.nan, 1
    status = map_statistics(cams, np.ones(3, bool), [SQUARE] * 3)["status"]
    columns = region_statistics(cams, {"r": (0, 0, 0.5, 0.5)}, status)
    np.testing.assert_array_equal(columns["region_r_mass"], [np.nan, np.nan, 0.25])
    np.testing.assert_array_equal(columns["region_r_lift"], [np.nan, np.nan, 1])
    # Finite maps with scores that are not.
    columns = region_statistics(np.ones((1, 4, 4), np.float32), {"r": (0, 0, 1, 1)}, np.array(["NONFINITE"], object))
    assert np.isnan([columns["region_r_mass"], columns["region_r_lift"]]).all()
    assert region_statistics(cams, {}, status) == {}


def test_a_region_that_covers_nothing_is_refused():
    with pytest.raises(ValueError, match=r"region 'logo' = \[0\.5, 0, 0\.5, 1\] covers nothing; give x0, y0, x1, y1"):
        region_statistics(np.ones((1, 7, 7), np.float32), {"logo": (0.5, 0, 0.5, 1)}, np.array(["OK"], object))
