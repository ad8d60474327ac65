"""Every kind of file becomes upright RGB, and nothing damaged passes for a picture."""

import concurrent.futures
import random
import struct
import threading
import time
import warnings

import cv2
import encoded
import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from transforms.images.decode import decode_image
from transforms.images.decoded import DecodedImage, Limits
from transforms.images.resize import resize_image, shrink
from transforms.placement import place
from transforms.records import ImageFailure, Stage, Status

LOSSLESS = encoded.lossless_files()
LOSSY = encoded.lossy_files()
ANIMATED = encoded.animated_files()
EVERY = {name: file for name, (file, _) in LOSSLESS.items()} | LOSSY | ANIMATED


def failure_of(file: bytes, **options) -> ImageFailure:
    with pytest.raises(ImageFailure) as caught:
        decode_image(file, **options)
    assert caught.value.stage == Stage.DECODE
    return caught.value


def outcome(file: bytes) -> np.ndarray | Status:
    """Pixels or the status of a failure; anything else is a crash."""
    try:
        pixels = decode_image(file, Limits(max_pixels=2**22)).pixels
    except ImageFailure as failure:
        return failure.status
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)
    return pixels


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b)


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_decode_exactly(name):
    file, expected = LOSSLESS[name]
    decoded = decode_image(file)
    assert decoded.pixels.dtype == np.uint8
    assert (decoded.width, decoded.height) == (encoded.WIDTH, encoded.HEIGHT)
    np.testing.assert_array_equal(decoded.pixels, expected)


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_files_decode_closely(name):
    assert difference(decode_image(LOSSY[name]).pixels, encoded.picture()).mean() < 4


@pytest.mark.parametrize("name", ANIMATED)
def test_of_several_frames_the_first_is_decoded(name):
    pixels = decode_image(ANIMATED[name]).pixels
    assert difference(pixels, encoded.picture()).mean() < 7  # GIF has 256 colours
    assert difference(pixels, 255 - encoded.picture()).mean() > 50


def test_sixteen_bits_are_scaled_not_clipped():
    samples = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], np.uint16)
    assert decode_image(encoded.encode_tiff(samples)).pixels[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_lies_over_white(kind):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = 200, 100, 0, 255
    pixels[0, 1] = 200, 100, 0, 0
    pixels[1, 0] = 200, 100, 0, 51  # a fifth
    pixels[1, 1] = 0, 0, 0, 255
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    file = encoded.encode(pixels, kind, **options)
    over_white = [[[200, 100, 0], [255, 255, 255]], [[244, 224, 204], [0, 0, 0]]]
    assert difference(decode_image(file).pixels, np.array(over_white)).max() <= 1


def test_transparency_of_gray_palette_and_keyed_colours():
    gray_alpha = Image.fromarray(np.array([[[90, 255], [90, 0]]], np.uint8), "LA")
    assert decode_image(encoded.encode(gray_alpha, "PNG")).pixels.tolist() == [[[90, 90, 90], [255, 255, 255]]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    for kind in ("PNG", "GIF"):
        file = encoded.encode(palette, kind, transparency=1)
        assert decode_image(file).pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]], kind
    half = encoded.encode(palette, "PNG", transparency=bytes([255, 0]))
    assert decode_image(half).pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]]
    keyed = Image.fromarray(np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8))
    file = encoded.encode(keyed, "PNG", transparency=(40, 50, 60))
    assert decode_image(file).pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]]


# How a camera held in each way stores an upright picture; the EXIF orientation says how to undo it.
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_undone(orientation, kind):
    upright = encoded.picture(noise=0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95}, "MPO": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    file = encoded.encode(np.ascontiguousarray(STORED[orientation](upright)), kind, exif=exif, **options)
    decoded = decode_image(file)
    assert (decoded.width, decoded.height) == (encoded.WIDTH, encoded.HEIGHT)
    assert difference(decoded.pixels, upright).mean() < 2.5
    assert difference(upright, upright[:, ::-1]).mean() > 20  # so a wrong turn would show
    if kind == "JPEG":
        reduced = decode_image(file, need=(24, 30), max_side=1)
        assert reduced.pixels.shape == (encoded.HEIGHT // 2, encoded.WIDTH // 2, 3)
        assert (reduced.width, reduced.height) == (encoded.WIDTH, encoded.HEIGHT)
        half = cv2.resize(upright, (encoded.WIDTH // 2, encoded.HEIGHT // 2), interpolation=cv2.INTER_AREA)
        assert difference(reduced.pixels, half).mean() < 2.5


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0"],
)
def test_broken_exif_costs_nothing(exif):
    file = encoded.encode(encoded.picture(), "JPEG", exif=exif)
    assert decode_image(file).pixels.shape == (encoded.HEIGHT, encoded.WIDTH, 3)


@pytest.mark.parametrize("name", EVERY)
def test_truncation_is_noticed(name):
    file = EVERY[name]
    whole = decode_image(file).pixels
    for tenth in range(1, 10):
        result = outcome(file[: len(file) * tenth // 10])
        if name in ANIMATED and name != "webp animated" and tenth > 2 and isinstance(result, np.ndarray):
            np.testing.assert_array_equal(result, whole)  # cut behind the first frame
        else:
            assert result == Status.DECODE_ERROR, tenth


@pytest.mark.parametrize("name", EVERY)
def test_the_last_bytes_are_either_needless_or_missed(name):
    file = EVERY[name]
    whole = decode_image(file).pixels
    for cut in (1, 2, 3, 4, 6, 9, 13, 20, 40):
        result = outcome(file[:-cut])
        if isinstance(result, np.ndarray):
            np.testing.assert_array_equal(result, whole)
        else:
            assert result == Status.DECODE_ERROR


@pytest.mark.parametrize("name", EVERY)
def test_bit_flips_never_crash(name):
    file = EVERY[name]
    rng = random.Random(name)
    for _ in range(60):
        flipped = bytearray(file)
        # Headers are where decoders break, so half of the flips go there.
        flipped[rng.randrange(rng.choice([len(file), min(len(file), 100)]))] ^= 1 << rng.randrange(8)
        result = outcome(bytes(flipped))
        if not isinstance(result, np.ndarray):
            # A header can also come to claim another format or size.
            assert result in (Status.DECODE_ERROR, Status.UNSUPPORTED, Status.TOO_LARGE)


def test_flipped_bits_of_png_are_all_noticed():
    file = LOSSLESS["png"][0]
    rng = random.Random(0)
    for _ in range(100):
        flipped = bytearray(file)
        flipped[rng.randrange(60, len(file) - 20)] ^= 1 << rng.randrange(8)
        assert failure_of(bytes(flipped)).status == Status.DECODE_ERROR


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.sampled_from(sorted(EVERY)), st.data())
def test_fuzz_spliced_files(name, data):
    file = EVERY[name]
    start = data.draw(st.integers(0, len(file)))
    patch = data.draw(st.binary(max_size=64))
    skip = data.draw(st.integers(0, 64))
    outcome(file[:start] + patch + file[start + skip :])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"BM",
            b"II*\0",
            b"MM\0+",
            b"RIFF    WEBP",
            b"    ftypavif",
        ]
    ),
    st.binary(max_size=300),
)
def test_fuzz_bytes_behind_a_signature(signature, rest):
    outcome(signature + rest)


def declared(kind: str, width: int, height: int) -> bytes:
    """A file of a few hundred bytes that claims to be huge."""
    if kind == "JPEG":
        file = encoded.encode(encoded.picture(8, 8), "JPEG")
        at = file.index(b"\xff\xc0") + 5
        return file[:at] + struct.pack(">HH", height, width) + file[at + 4 :]
    if kind == "PNG":
        header = encoded.png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + encoded.encode(encoded.picture(8, 8), "PNG")[33:]
    if kind == "GIF":
        file = encoded.encode(encoded.picture(8, 8)[..., 0], "GIF")
        return file[:6] + struct.pack("<HH", width, height) + file[10:]
    if kind == "BMP":
        file = encoded.encode(encoded.picture(8, 8), "BMP")
        return file[:18] + struct.pack("<ii", width, height) + file[26:]
    if kind == "TIFF":
        tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height), (279, 1)]
        return (
            b"II*\0\x08\0\0\0"
            + struct.pack("<H", 8)
            + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags)
            + bytes(4)
        )
    file = encoded.encode(encoded.picture(8, 8), "WEBP", lossless=True)
    assert file[12:16] == b"VP8L"
    return file[:21] + struct.pack("<I", (width - 1) | (height - 1) << 14) + file[25:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_declared_giant_is_refused_before_it_is_decoded(kind):
    side = 16000 if kind == "WEBP" else 30000
    file = declared(kind, side, side)
    assert len(file) < 3000
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        failure = failure_of(file)
    assert time.process_time() - start < 0.5
    assert failure.status == Status.TOO_LARGE
    assert f"{side} x {side} = {side * side:,} pixels; the limit is 134,217,728" in failure.message


def test_a_panorama_is_decoded():
    flat = np.full((9000, 12000, 1), 77, np.uint8)
    file = simplejpeg.encode_jpeg(flat, colorspace="GRAY", colorsubsampling="Gray")
    decoded = decode_image(file, need=(224, 224))
    assert (decoded.width, decoded.height) == (12000, 9000)
    assert decoded.pixels.shape == (1125, 1500, 3)
    assert np.all(decoded.pixels == 77)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "empty file"),
        (bytes(5000), "only zero bytes"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
        (b"\n  <HTML><head>", "HTML"),
        (b'{"error": "not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "run git lfs pull"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (b"root:x:0:0:root:/root:/bin/bash\n", "text"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "binary content"),
    ],
)
def test_what_is_no_image_says_what_it_looks_like(file, message):
    failure = failure_of(file)
    assert failure.status == Status.DECODE_ERROR
    assert message in failure.message
    assert "root" not in failure.message  # content is never quoted


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG"),
        (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg>', "SVG"),
        (b"\xef\xbb\xbf<!-- " + b"a licence > of many - words " * 2000 + b"-->\n<svg:svg xmlns:svg='x'>", "SVG"),
        (
            b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x.dtd" [<!ENTITY a "b>">]>'
            + b"<!-- 1 -->" * 200
            + b"<SVG\nwidth='3'>",
            "SVG",
        ),
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video: extract the frames"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "camera RAW"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "video"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"II*\0\x10\0\0\0CR\x02\0", "camera RAW"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\x03\x04", "zip"),
        (encoded.encode_tiff(encoded.picture()[..., 0], subfiletype=1), "thumbnail"),
        (encoded.encode_tiff(encoded.picture()[..., 0].astype(np.float32)), "floating point samples from"),
        (encoded.encode_tiff(np.full((4, 4), np.nan, np.float32)), "floating point samples from nan"),
        (encoded.encode_tiff(encoded.picture().astype(np.float32) / 255, photometric="rgb"), "layout of TIFF samples"),
        (encoded.encode_tiff(encoded.picture()[..., 0].astype(np.uint32)), "32-bit integer"),
        (encoded.encode_tiff(np.zeros((3, 9, 9), np.uint16), photometric="rgb", planarconfig="separate"), "planes"),
    ],
)
def test_unsupported_kinds_name_a_remedy(file, message):
    failure = failure_of(file)
    assert failure.status == Status.UNSUPPORTED
    assert message in failure.message
    assert failure.error_type == "UnsupportedFormat"


def test_twelve_bit_jpeg_is_unsupported():
    file = bytearray(LOSSY["jpeg"])
    file[file.index(b"\xff\xc0") + 4] = 12
    assert failure_of(bytes(file)).status == Status.UNSUPPORTED


def test_the_content_decides_not_the_name():
    # photo.jpg.gz that is a plain JPEG, photo.jpg that is a PNG: decode never sees a name.
    assert difference(decode_image(LOSSY["jpeg"]).pixels, decode_image(LOSSLESS["png"][0]).pixels).mean() < 4


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2), (17, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_extreme_shapes(kind, size):
    height, width = size
    decoded = decode_image(encoded.encode(encoded.picture(height, width), kind), need=(32, 32))
    assert decoded.pixels.shape == (height, width, 3)
    for how in ("stretch", "crop", "pad"):
        assert resize_image(decoded, place(width, height, 32, 32, how)).shape == (32, 32, 3)
    assert max(shrink(decoded, 64).shape) == min(64, max(size)) or max(size) < 3


@pytest.mark.parametrize(
    ("size", "need", "max_side", "expected"),
    [
        ((3000, 4000), (224, 224), 640, (750, 1000)),
        ((4000, 3000), (224, 224), 640, (1000, 750)),
        ((3000, 4000), (224, 224), 1001, (1500, 2000)),
        ((3000, 4000), (224, 224), 1000, (750, 1000)),
        ((896, 4000), (224, 224), 640, (448, 2000)),
        ((895, 4000), (224, 224), 640, (895, 4000)),
        ((1001, 803), (50, 50), 1, (126, 101)),
        ((500, 500), (224, 224), 640, (500, 500)),
    ],
)
def test_a_reduced_decode_stays_large_enough(size, need, max_side, expected):
    file = simplejpeg.encode_jpeg(np.full((*size, 1), 9, np.uint8), colorspace="GRAY", colorsubsampling="Gray")
    decoded = decode_image(file, need=need, max_side=max_side)
    assert decoded.pixels.shape[:2] == expected
    assert (decoded.height, decoded.width) == size


def natural(height: int, width: int) -> np.ndarray:
    """Detail at every scale, as photos have it: the same contrast in each octave, sharp to the pixel."""
    rng = np.random.default_rng(3)
    pixels = np.full((height, width), 128.0, np.float32)
    for octave in range(8):  # measured on photos: mean error 0.4 to 1.3, at most 35
        grain = rng.normal(0, 10, (max(1, height >> octave), max(1, width >> octave))).astype(np.float32)
        pixels += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    shade = encoded.picture(height, width, noise=0).astype(np.float32) - 128
    return np.clip(pixels[..., None] + shade * 0.5, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(1200, 1600), (1601, 1203), (905, 2047), (3001, 1000)])
def test_a_reduced_decode_gives_nearly_the_same_model_input(size):
    file = simplejpeg.encode_jpeg(natural(*size), quality=92)
    full, reduced = decode_image(file), decode_image(file, need=(112, 112), max_side=1)
    assert reduced.reduction >= 2
    for how in ("stretch", "crop", "pad"):
        placement = place(size[1], size[0], 112, 112, how)
        error = difference(resize_image(full, placement), resize_image(reduced, placement))
        assert error.mean() < 2, how
        assert error.max() < 24, how


@pytest.mark.parametrize("orientation", STORED)
def test_reduced_turned_and_cropped_alike(orientation):
    upright = natural(906, 1003)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded.encode(np.ascontiguousarray(STORED[orientation](upright)), "JPEG", exif=exif, quality=92)
    placement = place(1003, 906, 56, 56, "crop")
    expected = resize_image(DecodedImage(upright, 1003, 906), placement)
    assert difference(resize_image(decode_image(file, need=(56, 56), max_side=1), placement), expected).mean() < 2


def test_stretch_averages_over_the_area():
    pixels = encoded.picture(60, 90)
    decoded = DecodedImage(pixels, 90, 60)
    blocks = pixels.reshape(20, 3, 30, 3, 3).mean(axis=(1, 3))
    assert np.abs(resize_image(decoded, place(90, 60, 20, 30, "stretch")) - blocks).max() <= 0.5 + 1e-9


def test_one_side_shrinks_while_the_other_grows():
    # 8 columns of alternating 0 and 200 become 2 of their mean; 1 row becomes 4.
    pixels = np.zeros((1, 8, 3), np.uint8)
    pixels[:, ::2] = 200
    assert np.all(resize_image(DecodedImage(pixels, 8, 1), place(8, 1, 4, 2, "stretch")) == 100)


def test_growing_is_linear():
    pixels = np.array([[[0] * 3, [100] * 3]], np.uint8)
    row = resize_image(DecodedImage(pixels, 2, 1), place(2, 1, 1, 4, "stretch"))[0, :, 0]
    assert row.tolist() == [0, 25, 75, 100]


def test_crop_shows_the_middle():
    pixels = encoded.picture(60, 100)
    cropped = resize_image(DecodedImage(pixels, 100, 60), place(100, 60, 60, 60, "crop"))
    np.testing.assert_array_equal(cropped, pixels[:, 20:80])


def test_pad_leaves_black_bars():
    pixels = encoded.picture(30, 60)
    placement = place(60, 30, 60, 60, "pad")
    padded = resize_image(DecodedImage(pixels, 60, 30), placement)
    np.testing.assert_array_equal(padded[15:45], pixels)
    assert np.all(padded[:15] == 0)
    assert np.all(padded[45:] == 0)


def test_resize_equals_plain_opencv():
    pixels = encoded.picture(300, 500)
    expected = cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(
        resize_image(DecodedImage(pixels, 500, 300), place(500, 300, 224, 224, "stretch")), expected
    )


def test_shrink_never_enlarges_and_keeps_the_ratio():
    decoded = DecodedImage(encoded.picture(100, 201), 201, 100)
    assert shrink(decoded, 640) is decoded.pixels
    assert shrink(decoded, 101).shape == (50, 101, 3)
    # The size follows from the original, not from the scale it was decoded at.
    assert shrink(DecodedImage(encoded.picture(126, 101), 803, 1001, 8), 100).shape == (100, 80, 3)


def longest_pause_while_decoding(file: bytes) -> float:
    """How long this thread had to wait at a stretch, as a share of the time that another one decoded."""
    pauses, done = [], threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        start = last = time.perf_counter()
        pool.submit(decode_image, file).add_done_callback(lambda _: done.set())
        while not done.is_set():
            now = time.perf_counter()
            pauses.append(now - last)
            last = now
        return max(pauses) / (time.perf_counter() - start)


def test_decoding_releases_the_gil():
    file = simplejpeg.encode_jpeg(np.tile(natural(1000, 1000), (3, 3, 1)), quality=92)
    # A busy machine makes pauses too, but not every time.
    assert any(longest_pause_while_decoding(file) < 0.5 for _ in range(20))


def test_threads_decode_the_same():
    names = sorted(EVERY)
    alone = {name: decode_image(EVERY[name]).pixels for name in names}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for name, decoded in zip(names * 2, pool.map(lambda name: decode_image(EVERY[name]), names * 2), strict=True):
            np.testing.assert_array_equal(decoded.pixels, alone[name])
