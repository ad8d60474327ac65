"""16 bits: what a file has of them, 8 bits widened, upright, resized, and back to 8 for the eye."""

import struct
import zlib

import cv2
import encoded
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from transforms.images.decode import decode_image
from transforms.images.decoded import DecodedImage
from transforms.images.deep import narrowed, widened
from transforms.images.resize import resize_image, shrink
from transforms.records import ImageFailure, Status
from transforms.sampling import Sampling

NOISE = np.random.default_rng(3)
RGB = NOISE.integers(0, 65536, (21, 34, 3)).astype(np.uint16)
GRAY = RGB[..., 1]
GRAY_RGB = np.repeat(GRAY[..., None], 3, axis=2)
ALPHA = NOISE.integers(0, 65536, (21, 34, 1)).astype(np.uint16)


def png(pixels: np.ndarray) -> bytes:
    """16 bits, written out: gray, gray and alpha, RGB or RGBA."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def over_white(pixels: np.ndarray) -> np.ndarray:
    share = ALPHA / 65535
    return np.rint(pixels * share + 65535 * (1 - share)).astype(int)


FILES = {
    "png rgb": (png(RGB), RGB),
    "png rgb by opencv": (cv2.imencode(".png", RGB[..., ::-1])[1].tobytes(), RGB),
    "png gray": (png(GRAY), GRAY_RGB),
    "png rgba": (png(np.concatenate([RGB, ALPHA], 2)), over_white(RGB)),
    "png gray and alpha": (png(np.concatenate([GRAY[..., None], ALPHA], 2)), over_white(GRAY_RGB)),
    "tiff rgb": (encoded.encode_tiff(RGB, photometric="rgb"), RGB),
    "tiff rgb, big endian": (encoded.encode_tiff(RGB.astype(">u2"), photometric="rgb", byteorder=">"), RGB),
    "tiff gray": (encoded.encode_tiff(GRAY), GRAY_RGB),
    "tiff gray, 0 is white": (encoded.encode_tiff(65535 - GRAY, photometric="miniswhite"), GRAY_RGB),
    "pgm": (b"P5\n34 21\n65535\n" + GRAY.astype(">u2").tobytes(), GRAY_RGB),
}


@pytest.mark.parametrize("name", FILES)
def test_sixteen_bits_are_kept(name):
    file, expected = FILES[name]
    pixels = decode_image(file, bits=16).pixels
    assert pixels.dtype == np.uint16
    assert np.abs(pixels.astype(int) - expected).max() <= ("alpha" in name or "rgba" in name)
    assert np.abs(narrowed(pixels).astype(int) - decode_image(file).pixels).max() <= 2


@pytest.mark.parametrize("name", encoded.lossless_files())
def test_eight_bits_are_widened(name):
    file, expected = encoded.lossless_files()[name]
    np.testing.assert_array_equal(decode_image(file, bits=16).pixels, expected.astype(np.uint16) * 257)


def test_a_jpeg_is_widened_at_its_reduced_scale():
    file = encoded.encode(encoded.picture(400, 600), "JPEG")
    flat, deep = (decode_image(file, need=(56, 56), max_side=1, bits=bits) for bits in (8, 16))
    assert deep.reduction == flat.reduction == 2
    np.testing.assert_array_equal(deep.pixels, widened(flat.pixels))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pixels", [RGB, GRAY])
def test_it_is_turned_upright_as_with_eight_bits(orientation, pixels):
    options = {"photometric": "rgb"} if pixels.ndim == 3 else {}
    file = encoded.encode_tiff(pixels, extratags=[(274, "H", 1, orientation, True)], **options)
    deep, flat = decode_image(file, bits=16), decode_image(file)
    assert (deep.width, deep.height) == (flat.width, flat.height)
    assert deep.pixels.shape == ((21, 34, 3) if orientation < 5 else (34, 21, 3))
    assert np.abs(narrowed(deep.pixels).astype(int) - flat.pixels).max() <= 1
    assert (narrowed(deep.pixels) != flat.pixels).mean() < 0.6


@pytest.mark.parametrize("name", ["png rgb", "tiff rgb", "tiff gray", "png gray", "pgm"])
def test_damage_is_found_as_with_eight_bits(name):
    file = FILES[name][0]
    for end in (len(file) // 2, len(file) - 40):
        with pytest.raises(ImageFailure) as failed:
            decode_image(file[:end], bits=16)
        assert failed.value.status == Status.DECODE_ERROR


def with_chunk(file: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with a further chunk behind its header."""
    at = 8 + 25
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return file[:at] + chunk + file[at:]


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_png_with_an_orientation_is_turned_once(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    file = with_chunk(png(RGB), b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    expected = np.rot90(RGB, 2) if orientation == 3 else np.rot90(RGB, -1)
    np.testing.assert_array_equal(decode_image(file, bits=16).pixels, expected)


def test_what_two_decoders_read_differently_is_refused():
    # A colour that stands for transparency: Pillow compares it with pixels that it has cut to 8 bits.
    file = with_chunk(png(RGB // 2), b"tRNS", (RGB[0, 0] // 2).astype(">u2").tobytes())
    with pytest.raises(ImageFailure, match="two decoders read differently") as failed:
        decode_image(file, bits=16)
    assert failed.value.status == Status.UNSUPPORTED


def test_widening_can_be_undone():
    levels = np.arange(256, dtype=np.uint8)
    assert widened(levels)[[0, 1, 255]].tolist() == [0, 257, 65535]
    np.testing.assert_array_equal(narrowed(widened(levels)), levels)
    assert narrowed(np.array([0, 128, 129, 65535], np.uint16)).tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("size", [(10, 17), (40, 60), (7, 50), (1, 1)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos3", "lanczos5", "nearest"])
@pytest.mark.parametrize("antialias", [False, True])
def test_it_is_resized_in_sixteen_bits(interpolation, antialias, size):
    if interpolation == "nearest" and antialias:
        expected = np.stack(
            [np.asarray(Image.fromarray(RGB[..., c]).resize(size[::-1], Image.Resampling.NEAREST)) for c in range(3)], 2
        )
    else:
        expected = np.clip(tf.image.resize(RGB, size, interpolation, antialias=antialias).numpy(), 0, 65535)
    sampling = Sampling(interpolation=interpolation, antialias=antialias)
    made = resize_image(DecodedImage(RGB, 34, 21), sampling.place(34, 21, *size), sampling)
    assert made.dtype == np.uint16
    # Within one level of 255; bicubic's weights are a table in TensorFlow.
    assert np.abs(made - expected.astype(float)).max() <= 257


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("crop_fraction", [1.0, 0.8])
@pytest.mark.parametrize("size", [(10, 17), (40, 60), (16, 80)])
def test_areas_of_sixteen_bits_are_those_of_eight_and_finer(size, crop_fraction, resize):
    if resize == "pad" and crop_fraction != 1:
        crop_fraction = 1.0
    flat = narrowed(RGB)
    sampling = Sampling(resize, crop_fraction=crop_fraction, pad_color=(10, 20, 30) if resize == "pad" else (0, 0, 0))
    placement = sampling.place(34, 21, *size)
    fine, coarse = (resize_image(DecodedImage(pixels, 34, 21), placement, sampling) for pixels in (widened(flat), flat))
    assert np.abs(fine / 257 - coarse).max() <= 1
    assert len(np.unique(fine)) > len(np.unique(coarse))
    if resize == "pad" and np.any(coarse[0, 0] == 10):
        assert fine[0, 0].tolist() == [2570, 5140, 7710]


@pytest.mark.parametrize("side", [8, 20, 100])
def test_the_photo_for_the_eye_has_eight_bits(side):
    flat = narrowed(RGB)
    seen = shrink(DecodedImage(widened(flat), 34, 21), side)
    assert seen.dtype == np.uint8
    assert np.abs(seen.astype(int) - shrink(DecodedImage(flat, 34, 21), side)).max() <= 1
