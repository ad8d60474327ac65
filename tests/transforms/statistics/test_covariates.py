"""Covariates against slow numpy, and what they must not depend on."""

import colorsys

import cv2
import encoded
import numpy as np
import pytest
import simplejpeg

from transforms.images.decode import decode_image
from transforms.images.resize import resize_image
from transforms.placement import place
from transforms.statistics.covariates import image_covariates


def slow(pixels: np.ndarray) -> dict[str, float]:
    unit = pixels.astype(np.float64) / 255
    luma = unit @ (0.299, 0.587, 0.114)
    framed = np.pad(luma, 1, mode="reflect")
    laplacian = framed[:-2, 1:-1] + framed[2:, 1:-1] + framed[1:-1, :-2] + framed[1:-1, 2:] - 4 * luma
    saturation = [colorsys.rgb_to_hsv(*pixel)[1] for pixel in unit.reshape(-1, 3)]
    return {
        "brightness": luma.mean(),
        "contrast": luma.std(),
        "sharpness": laplacian.var(),
        "saturation": float(np.mean(saturation)),
    }


def test_they_equal_slow_numpy():
    batch = np.stack([encoded.picture(40, 60, noise=noise) for noise in (0, 5, 30)])
    result = image_covariates(batch)
    for index, pixels in enumerate(batch):
        for name, expected in slow(pixels).items():
            assert result[name][index] == pytest.approx(expected, rel=0.02, abs=2e-4), name
    assert all(values.dtype == np.float64 and values.shape == (3,) for values in result.values())


def test_flat_colours_by_hand():
    black, white, red = (np.full((8, 8, 3), colour, np.uint8) for colour in [(0,) * 3, (255,) * 3, (255, 0, 0)])
    result = image_covariates(np.stack([black, white, red]))
    assert result["brightness"] == pytest.approx([0, 1, 0.299], abs=2e-3)
    assert result["contrast"].tolist() == [0, 0, 0]
    assert result["sharpness"].tolist() == [0, 0, 0]
    assert result["saturation"].tolist() == [0, 0, 1]


def test_sharpness_is_the_usual_one_in_units_of_luma():
    pixels = encoded.picture(50, 50, noise=20)
    usual = cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var()
    assert image_covariates(pixels[None])["sharpness"][0] * 255**2 == pytest.approx(usual)


def test_padding_is_left_out():
    decoded = decode_image(encoded.encode(encoded.picture(64, 128), "PNG"))
    padded, alone = place(128, 64, 64, 64, "pad"), place(128, 64, 32, 64, "stretch")
    with_bars = image_covariates(resize_image(decoded, padded)[None], [padded])
    without = image_covariates(resize_image(decoded, alone)[None])
    assert {name: values[0] for name, values in with_bars.items()} == {
        name: values[0] for name, values in without.items()
    }
    assert image_covariates(resize_image(decoded, padded)[None])["brightness"][0] < 0.6 * without["brightness"][0]


def test_they_hardly_depend_on_the_scale_of_the_decode():
    file = simplejpeg.encode_jpeg(encoded.picture(900, 1200, noise=30), quality=92)
    placement = place(1200, 900, 100, 100, "stretch")
    full = image_covariates(resize_image(decode_image(file), placement)[None])
    reduced = image_covariates(resize_image(decode_image(file, need=(100, 100)), placement)[None])
    for name in full:
        assert reduced[name][0] == pytest.approx(full[name][0], rel=0.1), name


def test_a_single_row_and_a_single_pixel():
    for shape in ((1, 1, 1, 3), (1, 1, 7, 3), (1, 7, 1, 3)):
        assert all(np.isfinite(values).all() for values in image_covariates(np.full(shape, 9, np.uint8)).values())
    assert all(values.shape == (0,) for values in image_covariates(np.empty((0, 4, 4, 3), np.uint8)).values())
