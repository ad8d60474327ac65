"""Overlays: the heat lies on the right pixels of the photo, in the right colours, and encodes to what was drawn."""

import io

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from transforms.overlays.render import colormaps, encode, heatmap_over, render_overlay
from transforms.placement import place

JET = {"low": (0, 0, 128), "high": (128, 0, 0)}  # RGB ends of OpenCV's table
MARK = (250, 3, 77)  # no colour of the table "bone"


def gray(height, width, level=100):
    return np.full((height, width, 3), level, np.uint8)


def one_hot(i, j, height=7, width=7):
    cam = np.full((height, width), -0.5, np.float32)
    cam[i, j] = 3
    return cam


def heat_of(photo, cam, placement):
    """The heatmap as drawn over a photo of MARK: float [H, W] 0..1, NaN where the photo is plain."""
    overlay = render_overlay(photo, cam, placement, 1.0, "bone")
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8).reshape(256, 1), cv2.COLORMAP_BONE)[:, 0, ::-1]
    level_of = {tuple(color): level for level, color in enumerate(table.tolist())}
    levels = [level_of.get(tuple(pixel), np.nan) for pixel in overlay.reshape(-1, 3).tolist()]
    return np.array(levels).reshape(photo.shape[:2]) / 255


def heat_oracle(photo_shape, cam, placement):
    """Bilinear in the frame of the model input, pixel by pixel; NaN where the model did not see."""
    height, width = photo_shape
    relative = np.maximum(cam, 0) / cam.max()
    rows, columns = cam.shape
    heat = np.full(photo_shape, np.nan)
    for v in range(height):
        for u in range(width):
            x = (u + 0.5) / width * placement.width * placement.scale_x + placement.offset_x
            y = (v + 0.5) / height * placement.height * placement.scale_y + placement.offset_y
            if 0 <= x <= placement.input_width and 0 <= y <= placement.input_height:
                j = min(max(x / placement.input_width * columns - 0.5, 0), columns - 1)
                i = min(max(y / placement.input_height * rows - 0.5, 0), rows - 1)
                i0, j0 = int(i), int(j)
                i1, j1 = min(i0 + 1, rows - 1), min(j0 + 1, columns - 1)
                upper = relative[i0, j0] * (1 - j + j0) + relative[i0, j1] * (j - j0)
                lower = relative[i1, j0] * (1 - j + j0) + relative[i1, j1] * (j - j0)
                heat[v, u] = upper * (1 - i + i0) + lower * (i - i0)
    return heat


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(
    ("size", "shrunk"), [((60, 40), (60, 40)), ((400, 600), (40, 60)), ((37, 90), (37, 90)), ((1000, 31), (100, 3))]
)
def test_every_pixel_has_the_heat_of_the_oracle(resize, size, shrunk):
    height, width = size
    placement = place(width, height, 224, 192, resize)
    cam = np.random.default_rng(4).normal(size=(7, 6)).astype(np.float32)
    photo = np.empty((*shrunk, 3), np.uint8)
    photo[:] = MARK
    np.testing.assert_allclose(
        heat_of(photo, cam, placement), heat_oracle(shrunk, cam, placement), atol=0.5 / 255 + 1e-6
    )


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(("i", "j"), [(3, 3), (2, 4), (3, 1), (4, 5)])
def test_the_heat_of_one_cell_lies_around_its_place_in_the_photo(resize, i, j):
    # Original 480 x 360, photo shrunk to half. The centre of cell (i, j) in pixels of the original:
    placement = place(480, 360, 224, 224, resize)
    x_input, y_input = (j + 0.5) / 7, (i + 0.5) / 7
    x, y = {
        "stretch": (x_input * 480, y_input * 360),
        "crop": (60 + x_input * 360, y_input * 360),  # the central 360 columns
        "pad": (x_input * 480, y_input * 480 - 60),  # 480 x 480 with bars of 60 rows
    }[resize]
    photo = np.empty((180, 240, 3), np.uint8)
    photo[:] = MARK
    heat = np.nan_to_num(heat_of(photo, one_hot(i, j), placement))
    rows, columns = np.mgrid[:180, :240]
    centroid = (heat * (columns + 0.5)).sum() / heat.sum() * 2, (heat * (rows + 0.5)).sum() / heat.sum() * 2
    assert centroid == pytest.approx((x, y), abs=1)


def test_what_the_crop_hid_stays_plain():
    placement = place(640, 480, 224, 224, "crop")
    photo = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    overlay = render_overlay(photo, one_hot(3, 0), placement, 0.5, "jet")
    np.testing.assert_array_equal(overlay[:, :80], photo[:, :80])
    np.testing.assert_array_equal(overlay[:, 560:], photo[:, 560:])
    assert (overlay[:, 80:560] != photo[:, 80:560]).any(axis=2).mean() > 0.95
    assert overlay[240, 80].tolist() != overlay[240, 79].tolist()


def test_heat_on_padding_is_dropped():
    # The hot row of cells is on the upper bar: what is left in the photo is its lower slope.
    placement = place(448, 224, 224, 224, "pad")
    photo = gray(224, 448)
    cam = np.zeros((7, 7), np.float32)
    cam[0] = 1
    overlay = render_overlay(photo, cam, placement, 1.0, "jet")
    assert overlay.shape == photo.shape
    # The slope ends in the middle of row 1 of the cells, at 48 of the 56 rows of the bar.
    assert (overlay == JET["low"]).all()


def test_colours_are_rgb_and_blended_with_constant_opacity():
    cam = np.zeros((1, 2), np.float32)
    cam[0, 1] = 5
    placement = place(4, 1, 4, 1, "stretch")
    opaque = render_overlay(gray(1, 4), cam, placement, 1.0, "jet")
    assert tuple(opaque[0, 0]) == JET["low"]
    assert tuple(opaque[0, 3]) == JET["high"]
    blended = render_overlay(gray(1, 4), cam, placement, 0.25, "jet")
    assert tuple(blended[0, 3]) == (107, 75, 75)  # 0.75 * 100 + 0.25 * (128, 0, 0)
    np.testing.assert_array_equal(render_overlay(gray(1, 4), cam, placement, 0.0, "jet"), gray(1, 4))


def test_the_photo_is_not_changed():
    photo = gray(50, 60)
    for cam in (one_hot(1, 1), -np.ones((7, 7), np.float32)):
        render_overlay(photo, cam, place(60, 50, 224, 224, "crop"), 0.4, "turbo")
        np.testing.assert_array_equal(photo, gray(50, 60))
    photo.flags.writeable = False
    render_overlay(photo, one_hot(1, 1), place(60, 50, 224, 224, "stretch"), 0.4, "turbo")


def test_scale_of_the_map_does_not_matter():
    cam = np.random.default_rng(4).normal(size=(7, 7)).astype(np.float32)
    placement = place(60, 50, 224, 224, "stretch")
    overlay = render_overlay(gray(50, 60), cam, placement, 0.4, "jet")
    for exponent in (-100, 100):
        scaled = render_overlay(gray(50, 60), np.ldexp(cam, exponent), placement, 0.4, "jet")
        np.testing.assert_array_equal(scaled, overlay)


def test_colormaps_are_named_in_lower_case_and_all_work():
    assert {"jet", "turbo", "viridis", "inferno", "magma"} <= set(colormaps())
    placement = place(9, 9, 224, 224, "stretch")
    pictures = {render_overlay(gray(9, 9), one_hot(3, 3), placement, 0.5, name).tobytes() for name in colormaps()}
    assert len(pictures) == len(colormaps())


def test_an_unknown_colormap_is_refused_with_the_choice():
    with pytest.raises(ValueError, match=r"unknown colour map 'rainbow2'; use one of .*jet.*viridis"):
        render_overlay(gray(9, 9), one_hot(3, 3), place(9, 9, 224, 224, "stretch"), 0.5, "rainbow2")


# --- the badge


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (32, 32), (60, 150), (375, 500), (2000, 3000)])
@pytest.mark.parametrize("cam", [np.zeros((7, 7), np.float32), -np.ones((7, 7), np.float32)])
def test_a_zero_map_gives_the_plain_photo_and_a_badge(shape, cam):
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    overlay = render_overlay(photo, cam, place(shape[1], shape[0], 224, 224, "pad"), 0.4, "jet")
    height, width = shape
    if height < 38 or width < 110:
        # A strip below: the whole photo is there.
        np.testing.assert_array_equal(overlay[:height, :width], photo)
        badge = overlay[height:]
    else:
        assert overlay.shape == photo.shape
        changed = (overlay != photo).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        assert (rows[0], columns[0]) == (0, 0)
        assert rows[-1] < height / 2
        badge = overlay[: rows[-1] + 1, : columns[-1] + 1]
    # White letters on a dark ground, at least ten pixels high and a hundred wide.
    letters = (badge > 200).all(axis=2)
    assert np.ptp(np.flatnonzero(letters.any(axis=1))) >= 9
    assert np.ptp(np.flatnonzero(letters.any(axis=0))) >= 99
    assert 0.02 < letters[:, : max(110, badge.shape[1] if badge.shape[1] < 1000 else 110)].mean() < 0.5


def test_a_map_with_one_positive_cell_has_no_badge():
    photo = gray(200, 300)
    overlay = render_overlay(photo, one_hot(6, 6) * 1e-30, place(300, 200, 224, 224, "stretch"), 0.5, "jet")
    assert tuple(overlay[199, 299]) == (114, 50, 50)  # half of 100, and half of (128, 0, 0)
    assert tuple(overlay[0, 0]) == (50, 50, 114)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3), (640, 1)])
def test_photos_of_odd_shapes(shape, resize):
    height, width = shape
    placement = place(width, height, 224, 224, resize)
    overlay = render_overlay(gray(*shape), np.ones((7, 7), np.float32), placement, 1.0, "jet")
    assert overlay.shape == (*shape, 3)
    hot = (overlay == JET["high"]).all(axis=2)
    if resize == "crop":
        shown = min(shape)
        assert hot.sum() == shown * shown
        assert hot[(height - shown) // 2, (width - shown) // 2]
    else:
        assert hot.all()


def test_a_crop_thinner_than_a_pixel_of_the_shrunk_photo_leaves_it_plain():
    placement = place(6400, 1, 224, 224, "crop")
    overlay = render_overlay(gray(1, 640), one_hot(3, 3), placement, 0.5, "jet")
    assert (overlay != gray(1, 640)).any(axis=2).sum() <= 1


# --- encoding


def test_png_is_lossless_and_rgb():
    photo = skimage.data.chelsea()
    decoded = np.asarray(Image.open(io.BytesIO(encode(photo, "png", 0))))
    np.testing.assert_array_equal(decoded, photo)


def test_jpeg_is_rgb_and_follows_the_quality():
    photo = skimage.data.chelsea()
    sizes = []
    for quality, error in ((30, 8), (85, 4), (98, 2.5)):
        encoded = encode(photo, "jpg", quality)
        picture = Image.open(io.BytesIO(encoded))
        assert (picture.format, picture.mode) == ("JPEG", "RGB")
        assert np.abs(np.asarray(picture).astype(int) - photo).mean() < error
        sizes.append(len(encoded))
    assert sizes == sorted(sizes)


def test_views_encode_too():
    photo = skimage.data.chelsea()
    view = photo[::2, ::-2]
    for image_format in ("png", "jpg"):
        assert encode(view, image_format, 85) == encode(view.copy(), image_format, 85)


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="unknown overlay format 'gif'; use jpg or png"):
        encode(gray(3, 3), "gif", 85)


@pytest.mark.parametrize("colormap", colormaps())
def test_an_overlay_is_the_colours_of_opencv_blended_by_opencv(colormap):
    random = np.random.default_rng(len(colormap))
    table = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    for height, width, resize, opacity in [(64, 301, "crop", 0.5), (255, 32, "stretch", 0.37), (1, 9, "stretch", 1.0)]:
        photo = random.integers(0, 256, (height, width, 3), np.uint8)
        cam = random.normal(size=(5, 6)).astype(np.float32)
        placement = place(width, height, 224, 224, resize)
        before = photo.copy()
        overlay = render_overlay(photo, cam, placement, opacity, colormap)
        np.testing.assert_array_equal(photo, before)
        rows, columns, heatmap = heatmap_over(cam, placement, height, width)
        colors = cv2.applyColorMap(cv2.convertScaleAbs(heatmap, alpha=255), table)[..., ::-1]
        expected = before.copy()
        expected[rows, columns] = cv2.addWeighted(
            before[rows, columns], 1 - opacity, np.ascontiguousarray(colors), opacity, 0
        )
        np.testing.assert_array_equal(overlay, expected)
