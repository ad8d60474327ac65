"""Stretch, crop and pad by hand, and what holds for every size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.placement import place

sizes = st.integers(1, 6000)
inputs = st.integers(8, 600)


def test_stretch_fills_the_input():
    placement = place(400, 300, 224, 112, "stretch")
    assert placement.content == (0, 0, 1, 1)
    np.testing.assert_allclose(placement.to_input(np.array([100, 150, 200, 300])), [0.25, 0.5, 0.5, 1])
    np.testing.assert_allclose(placement.to_original(np.array([0.25, 0.5, 0.5, 1])), [100, 150, 200, 300])


def test_crop_shows_the_central_square():
    placement = place(400, 300, 100, 100, "crop")  # columns 50 to 350
    assert placement.content == (0, 0, 1, 1)
    np.testing.assert_allclose(placement.to_original(np.array([0, 0, 1, 1])), [50, 0, 350, 300])
    np.testing.assert_allclose(placement.to_input(np.array([0, 0, 50, 300])), [-1 / 6, 0, 0, 1])


def test_pad_leaves_bars_of_whole_pixels():
    placement = place(400, 300, 100, 100, "pad")  # 100 x 75, 12 rows above, 13 below
    np.testing.assert_allclose(placement.content, [0, 0.12, 1, 0.87])
    np.testing.assert_allclose(placement.to_original(np.array([0, 0.12, 1, 0.87])), [0, 0, 400, 300])
    np.testing.assert_allclose(placement.to_original(np.array([0, 0, 1, 1])), [0, 0, 400, 300])  # clipped to the image


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@given(sizes, sizes, inputs, inputs)
def test_every_size(how, width, height, input_height, input_width):
    placement = place(width, height, input_height, input_width, how)
    x0, y0, x1, y1 = placement.content
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    if how == "pad":
        edges = np.array(placement.content) * (input_width, input_height, input_width, input_height)
        np.testing.assert_allclose(edges, np.rint(edges), atol=1e-6)  # bars are whole pixels
        assert max(x1 - x0, y1 - y0) == pytest.approx(1)
        exact = min(input_width / width, input_height / height) * np.array([width, height])
        assert np.abs(np.maximum(exact, 1) - (edges[2:] - edges[:2])).max() <= 0.5 + 1e-6  # the ratio is kept
    else:
        np.testing.assert_allclose(placement.content, (0, 0, 1, 1), atol=1e-9)
    shown = placement.to_original(np.array([0.0, 0, 1, 1]))
    if how == "crop":
        np.testing.assert_allclose(shown, np.rint(shown), atol=1e-6)  # edges on whole pixels of the original
        assert shown[2] - shown[0] == pytest.approx(width) or shown[3] - shown[1] == pytest.approx(height)
        assert abs(shown[0] - (width - shown[2])) <= 1 + 1e-6  # central
    else:
        np.testing.assert_allclose(shown, (0, 0, width, height), atol=1e-6)


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@given(sizes, sizes, inputs, st.floats(0, 1), st.floats(0, 1))
def test_to_original_undoes_to_input(how, width, height, side, x, y):
    placement = place(width, height, side, side, how)
    point = np.array([x * width, y * height, x * width, y * height])
    np.testing.assert_allclose(placement.to_original(placement.to_input(point)), point, atol=1e-6)


def test_a_fraction_resizes_the_shorter_side_and_shows_the_centre():
    placement = place(400, 300, 224, 224, "crop", 0.875)  # 341 x 256: the longer side of 341.33 is rounded down
    assert (placement.scale_x, placement.scale_y) == (341 / 400, 256 / 300)
    assert (placement.offset_x, placement.offset_y) == (-58, -16)  # 117 / 2 and 32 / 2, rounded down
    assert placement.cut_last
    assert placement.content == (0, 0, 1, 1)
    edges = [58 * 400 / 341, 16 * 300 / 256, (58 + 224) * 400 / 341, (16 + 224) * 300 / 256]
    np.testing.assert_allclose(placement.to_original(np.array([0, 0, 1, 1])), edges)


def test_a_fraction_of_a_stretched_image_is_the_centre_of_both_sides():
    placement = place(400, 300, 96, 200, "stretch", 0.8)  # 250 x 120
    assert (placement.scale_x, placement.scale_y) == (250 / 400, 120 / 300)
    assert (placement.offset_x, placement.offset_y) == (-25, -12)
    np.testing.assert_allclose(placement.to_original(np.array([0, 0, 1, 1])), [40, 30, 360, 270])


@pytest.mark.parametrize(
    ("side", "fraction", "whole"),
    [(224, 0.875, 256), (299, 0.875, 341), (210, 0.7, 300), (240, 0.9, 266), (288, 0.95, 303), (448, 0.999, 448)],
)
def test_the_size_that_is_resized_to_is_rounded_down(side, fraction, whole):
    placement = place(1000, 1000, side, side, "crop", fraction)
    assert placement.scale_x * 1000 == pytest.approx(whole)


@pytest.mark.parametrize("how", ["stretch", "crop"])
@given(sizes, sizes, inputs, inputs, st.floats(0.1, 0.999), st.floats(0, 1), st.floats(0, 1))
def test_every_fraction_fills_the_input_and_can_be_undone(how, width, height, input_height, input_width, f, x, y):
    placement = place(width, height, input_height, input_width, how, f)
    np.testing.assert_allclose(placement.content, (0, 0, 1, 1), atol=1e-9)
    point = np.array([x * width, y * height, x * width, y * height])
    np.testing.assert_allclose(placement.to_original(placement.to_input(point)), point, atol=1e-6)
    x0, y0, x1, y1 = placement.to_input(np.array([0, 0, width, height])) * ([input_width, input_height] * 2)
    for low, high, side in ((x0, x1, input_width), (y0, y1, input_height)):
        assert low <= 0
        assert high >= side - 1e-6
        assert low == pytest.approx(round(low), abs=1e-4)  # whole pixels of the resized image
        assert high == pytest.approx(round(high), abs=1e-4)
        assert -1 - 1e-6 <= -low - (high - side) <= 1e-6  # central
    if how == "crop":  # the ratio is kept, up to the pixel that the longer side was rounded down by
        assert (x1 - x0) * height == pytest.approx((y1 - y0) * width, abs=max(width, height))


@pytest.mark.parametrize(("how", "fraction"), [("pad", 0.875), ("crop", 0.0), ("stretch", 1.5)])
def test_a_fraction_that_means_nothing_is_refused(how, fraction):
    with pytest.raises(ValueError, match=f"crop_fraction is {fraction}"):
        place(10, 10, 8, 8, how, fraction)


def test_the_frame_of_a_map_is_the_part_of_the_input_that_it_covers():
    placement = place(400, 300, 100, 100, "stretch", seen=(0.25, 0.1, 0.75, 0.6))
    frame = placement.map_frame
    assert (frame.input_width, frame.input_height, frame.content) == (50, 50, (0, 0, 1, 1))
    np.testing.assert_allclose(frame.to_original(np.array([0, 0, 1, 1])), [100, 30, 300, 180])
    np.testing.assert_allclose(frame.to_input(np.array([200, 105, 300, 180])), [0.5, 0.5, 1, 1])


def test_the_frame_of_a_map_beyond_the_input_knows_where_the_input_ends():
    # 400 x 300 in a square of 100: columns 50 to 350 are shown; the model adds a quarter of that on either side.
    frame = place(400, 300, 100, 100, "crop", seen=(-0.25, 0.0, 1.25, 1.0)).map_frame
    np.testing.assert_allclose(frame.content, [1 / 6, 0, 5 / 6, 1])  # the photo goes on, but the model sees it not
    np.testing.assert_allclose(frame.to_original(np.array([1 / 6, 0, 5 / 6, 1])), [50, 0, 350, 300])


def test_a_photo_that_lies_wholly_on_what_the_model_crops_has_no_content():
    x0, y0, x1, y1 = place(100, 10, 100, 100, "pad", seen=(0.0, 0.0, 1.0, 0.25)).map_frame.content
    assert (x0, x1) == (0, 1)
    assert y0 == y1


@given(sizes, sizes, inputs, inputs, st.sampled_from(["stretch", "crop", "pad"]))
def test_where_the_map_covers_all_its_frame_is_the_placement(width, height, rows, columns, resize):
    placement = place(width, height, rows, columns, resize)
    assert placement.map_frame is placement


@given(
    sizes, sizes, inputs, inputs, st.sampled_from(["stretch", "crop", "pad"]),
    st.floats(-0.5, 0.4), st.floats(0.6, 1.5), st.floats(-0.5, 0.4), st.floats(0.6, 1.5),
)  # fmt: skip
def test_a_point_is_at_the_same_place_in_both_frames(width, height, rows, columns, resize, x0, x1, y0, y1):
    placement = place(width, height, rows, columns, resize, seen=(x0, y0, x1, y1))
    box = np.array([0.2 * width, 0.3 * height, 0.7 * width, 0.8 * height])
    own = placement.map_frame.to_input(box)
    scale, start = np.array([x1 - x0, y1 - y0] * 2), np.array([x0, y0] * 2)
    np.testing.assert_allclose(start + own * scale, placement.to_input(box), rtol=1e-9, atol=1e-9)
