"""Every filter against tf.image.resize and against Pillow, over sizes that shrink, grow, and are one pixel."""

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from transforms.images.decoded import DecodedImage
from transforms.images.resize import resize_image
from transforms.sampling import Sampling

NOISE = np.random.default_rng(0)
# (height, width) of the photo -> of the model input
SIZES = [
    ((480, 640), (224, 224)),
    ((375, 500), (299, 299)),
    ((100, 80), (224, 160)),
    ((1, 1), (7, 5)),
    ((1, 300), (64, 64)),
    ((301, 1), (64, 3)),
    ((97, 113), (1, 1)),
    ((224, 500), (224, 224)),
    ((53, 901), (200, 31)),
    ((64, 64), (64, 64)),
]
FILTERS = ("bilinear", "bicubic", "lanczos3", "lanczos5")
PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}


def resized(pixels: np.ndarray, size: tuple[int, int], sampling: Sampling) -> np.ndarray:
    height, width = pixels.shape[:2]
    return resize_image(DecodedImage(pixels, width, height), sampling.place(width, height, *size), sampling)


def by_tensorflow(pixels: np.ndarray, size: tuple[int, int], sampling: Sampling) -> np.ndarray:
    exact = tf.image.resize(pixels, size, sampling.interpolation, antialias=bool(sampling.antialias)).numpy()
    return np.clip(exact, 0, np.iinfo(pixels.dtype).max)


def by_pillow(pixels: np.ndarray, size: tuple[int, int], method: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], method)).astype(float)


def noise(size: tuple[int, int], low: int = 0, high: int = 256) -> np.ndarray:
    return NOISE.integers(low, high, (*size, 3)).astype(np.uint8)


@pytest.mark.parametrize(("source", "target"), SIZES)
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_a_filter_is_that_of_tensorflow_within_a_level(interpolation, antialias, source, target):
    sampling = Sampling(interpolation=interpolation, antialias=antialias)
    pixels = noise(source)
    made = resized(pixels, target, sampling)
    assert made.dtype == np.uint8
    assert np.abs(made - by_tensorflow(pixels, target, sampling)).max() <= 1


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_nearest_without_antialias_is_that_of_tensorflow(source, target):
    sampling = Sampling(interpolation="nearest", antialias=False)
    pixels = noise(source)
    np.testing.assert_array_equal(resized(pixels, target, sampling), by_tensorflow(pixels, target, sampling))


@pytest.mark.parametrize(("source", "target"), [*SIZES, ((400, 256), (300, 96)), ((3024, 4032), (160, 160))])
def test_nearest_is_that_of_pillow(source, target):
    pixels = noise(source)
    expected = by_pillow(pixels, target, Image.Resampling.NEAREST)
    np.testing.assert_array_equal(resized(pixels, target, Sampling(interpolation="nearest")), expected)
    np.testing.assert_array_equal(resized(pixels, target, Sampling(interpolation="nearest", antialias=True)), expected)


@pytest.mark.parametrize(("source", "target"), SIZES)
@pytest.mark.parametrize("interpolation", PILLOW)
def test_with_antialias_a_filter_is_that_of_pillow_within_two_levels(interpolation, source, target):
    # Levels that no overshoot takes out of 0..255: Pillow clips after the columns and again after the rows.
    pixels = noise(source, 96, 160)
    made = resized(pixels, target, Sampling(interpolation=interpolation, antialias=True))
    assert np.abs(made - by_pillow(pixels, target, PILLOW[interpolation])).max() <= 2


@pytest.mark.parametrize("photo", ["astronaut", "coffee", "rocket"])
@pytest.mark.parametrize("interpolation", PILLOW)
def test_on_photos_pillow_is_met_but_for_a_few_edges_of_black_and_white(interpolation, photo):
    pixels = getattr(skimage.data, photo)()
    made = resized(pixels, (224, 224), Sampling(interpolation=interpolation, antialias=True))
    difference = np.abs(made - by_pillow(pixels, (224, 224), PILLOW[interpolation]))
    assert (difference > 2).mean() < 1e-3
    assert difference.mean() < 0.25  # Pillow rounds twice


def test_filters_differ():
    pixels = skimage.data.coffee()
    made = [
        resized(pixels, (96, 96), Sampling(interpolation=interpolation, antialias=antialias)).astype(int)
        for interpolation in FILTERS
        for antialias in (False, True)
    ] + [resized(pixels, (96, 96), Sampling(interpolation=name)).astype(int) for name in ("area", "nearest")]
    differences = [np.abs(a - b).mean() for i, a in enumerate(made) for b in made[:i]]
    assert min(differences) > 0.2


@pytest.mark.parametrize("interpolation", ["area", "nearest", *FILTERS])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("resize", ["stretch", "crop"])
@pytest.mark.parametrize("size", [(375, 500), (500, 375), (90, 70), (1, 700)])
def test_a_fraction_is_the_centre_of_the_whole_resized(size, resize, antialias, interpolation):
    pixels = noise(size)
    sampling = Sampling(resize, interpolation, antialias, crop_fraction=0.8)
    made = resized(pixels, (64, 48), sampling)  # the whole is 80 x 60, or covers that
    height, width = size
    full = (80, 60)
    if resize == "crop":
        full = (80, width * 80 // height) if width * 80 >= 60 * height else (height * 60 // width, 60)
    if interpolation == "area" and full[0] > height and full[1] > width:
        whole = by_tensorflow(pixels, full, Sampling(interpolation="bilinear"))  # sides that grow are linear
    elif interpolation == "area":
        whole = resized(pixels, full, Sampling()).astype(float)
    elif interpolation == "nearest" and antialias:
        whole = by_pillow(pixels, full, Image.Resampling.NEAREST)
    else:
        whole = by_tensorflow(pixels, full, sampling)
    top, left = (full[0] - 64) // 2, (full[1] - 48) // 2
    assert np.abs(made - whole[top : top + 64, left : left + 48]).max() <= 1


def test_of_a_strip_only_what_is_shown_is_made():
    pixels = noise((1, 60_000))
    sampling = Sampling("crop", "lanczos3", antialias=True, crop_fraction=0.875)  # the whole is 256 x 15,360,000
    made = resized(pixels, (224, 224), sampling)
    assert np.abs(made.astype(int) - made[:1]).max() == 0  # one row, 256 times
    assert np.abs(made[0, 112].astype(int) - pixels[0, 30_000]).max() < 60


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos5"])
def test_large_pictures_are_done_in_bands(interpolation, monkeypatch):
    pixels = noise((700, 500))
    sampling = Sampling(interpolation=interpolation, antialias=True)
    at_once = resized(pixels, (96, 128), sampling)
    monkeypatch.setattr("transforms.images.resample._LARGEST", 150 * 1500)
    np.testing.assert_array_equal(resized(pixels, (96, 128), sampling), at_once)
    monkeypatch.setattr("transforms.images.resample._LARGEST", 1)
    np.testing.assert_array_equal(resized(pixels, (96, 128), sampling), at_once)


@pytest.mark.parametrize("interpolation", ["area", "nearest", *FILTERS])
def test_bars_have_their_colour_and_the_photo_lies_between(interpolation):
    pixels = np.full((50, 100, 3), 77, np.uint8)
    sampling = Sampling("pad", interpolation, pad_color=(114, 113, 112))
    padded = resized(pixels, (64, 64), sampling)
    assert np.all(padded[16:48] == 77)
    assert np.all(padded[:16] == (114, 113, 112))
    assert np.all(padded[48:] == (114, 113, 112))
