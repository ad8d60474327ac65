"""What libjpeg warns of: harmless things are mended, lost pixels are refused, and one does not hide the other."""

import struct

import encoded
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from transforms.images import jpeg
from transforms.images.jpeg import JpegError, decode, read_header

RGB = encoded.picture()
PLAIN = encoded.encode(RGB, "JPEG", quality=90)
PROGRESSIVE = encoded.encode(RGB, "JPEG", quality=90, progressive=True)
RESTARTS = encoded.encode(RGB, "JPEG", quality=90, restart_marker_blocks=4)


def pixels_of(file: bytes) -> np.ndarray:
    return decode(file, read_header(file), 1)


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def behind_soi(file: bytes, addition: bytes) -> bytes:
    return file[:2] + addition + file[2:]


def scan_start(file: bytes) -> int:
    start = file.index(b"\xff\xda")
    return start + 2 + int.from_bytes(file[start + 2 : start + 4], "big")


def with_jfif_revision(file: bytes) -> bytes:
    return file.replace(b"JFIF\0\x01\x01", b"JFIF\0\x07\x00")


def with_stray_bytes_in_header(file: bytes) -> bytes:
    at = file.index(b"\xff\xdb")
    return file[:at] + b"\0\0\0stray" + file[at:]


def with_odd_spectral_selection(file: bytes) -> bytes:
    end = scan_start(file)
    return file[: end - 3] + b"\0\0\0" + file[end:]


def with_unknown_transform(file: bytes) -> bytes:
    assert file[2:4] == b"\xff\xe0"  # JFIF says YCbCr; without it the Adobe segment is asked
    return file[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\x09") + file[4 + int.from_bytes(file[4:6], "big") :]


HARMLESS = {
    "stray bytes in the header": with_stray_bytes_in_header,
    "stray bytes before the end": lambda file: file[:-2] + bytes(40) + file[-2:],
    "garbage after the end": lambda file: file + b"\xff\xd8\xff\xe0 and more" * 20,
    "no end marker": lambda file: file[:-2],
    "half an end marker": lambda file: file[:-1],
    "unknown JFIF revision": with_jfif_revision,
    "unknown Adobe transform": with_unknown_transform,
    "broken ICC profile": lambda file: behind_soi(file, segment(0xE2, b"ICC_PROFILE\0\x07\x01" + bytes(50))),
    "odd spectral selection": with_odd_spectral_selection,
    "comment": lambda file: behind_soi(file, segment(0xFE, b"\xff\xda\xff\xd9" * 10)),
    "all at once": lambda file: with_jfif_revision(with_stray_bytes_in_header(file))[:-2] + b"\0" * 9,
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_costs_no_pixel_is_accepted(name):
    file = HARMLESS[name](PLAIN)
    assert file != PLAIN
    np.testing.assert_array_equal(pixels_of(file), pixels_of(PLAIN))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in HARMLESS
        if name not in ("no end marker", "half an end marker", "odd spectral selection", "all at once")
    ],
)
def test_the_same_in_progressive_files(name):
    np.testing.assert_array_equal(pixels_of(HARMLESS[name](PROGRESSIVE)), pixels_of(PROGRESSIVE))


def test_these_files_do_warn():
    # Else the tests above would show nothing.
    for name in HARMLESS.keys() - {"garbage after the end", "comment"}:
        with pytest.raises(ValueError, match=r"JPEG|JFIF|Adobe|SOS|ICC"):
            simplejpeg.decode_jpeg(HARMLESS[name](PLAIN))


def cut_in_the_middle(file: bytes) -> bytes:
    middle = (scan_start(file) + len(file)) // 2
    return file[:middle] + b"\xff\xd9"


def without_a_restart(file: bytes) -> bytes:
    first = file.index(b"\xff\xd1", scan_start(file))
    return file[:first] + file[file.index(b"\xff\xd3", first) :]


def with_bad_codes(file: bytes) -> bytes:
    # No code is all ones. libjpeg-turbo looks for bad codes in the last kilobytes of a scan only.
    return file[:-242] + b"\xff\0" * 20 + file[-202:]


@pytest.mark.parametrize(
    "damaged",
    [
        cut_in_the_middle(PLAIN),
        cut_in_the_middle(PROGRESSIVE),
        with_bad_codes(PLAIN),
        without_a_restart(RESTARTS),
        PROGRESSIVE[:-2],  # whether a scan is missing, nobody can tell
    ],
)
def test_lost_pixels_are_refused_also_behind_a_harmless_warning(damaged):
    for harmless in (
        lambda file: file,
        with_jfif_revision,
        with_stray_bytes_in_header,
        with_unknown_transform,
    ):
        with pytest.raises(JpegError):
            pixels_of(harmless(damaged))


def test_a_height_that_hides_a_half_is_refused():
    at = PLAIN.index(b"\xff\xc0") + 5
    with pytest.raises(JpegError, match="extraneous"):
        pixels_of(PLAIN[:at] + struct.pack(">H", encoded.HEIGHT // 2) + PLAIN[at + 2 :])


def test_restart_markers_alone_are_fine():
    np.testing.assert_array_equal(pixels_of(RESTARTS), pixels_of(PLAIN))


def test_every_header_cut_is_refused():
    for end in range(scan_start(PLAIN)):
        with pytest.raises(JpegError):
            pixels_of(PLAIN[:end])


def test_the_header_is_read_from_its_segments():
    header = read_header(PLAIN)
    assert (header.width, header.height, header.components) == (encoded.WIDTH, encoded.HEIGHT, 3)
    assert (header.precision, header.is_single_scan, header.orientation) == (8, True, 1)
    assert not read_header(PROGRESSIVE).is_single_scan
    # A thumbnail in the EXIF segment is a JPEG with a header of its own.
    thumbnail = encoded.encode(encoded.picture(10, 10), "JPEG")
    assert read_header(behind_soi(PLAIN, segment(0xE1, b"Exif\0\0" + thumbnail))).width == encoded.WIDTH


def cmyk_file(adobe: bool) -> bytes:
    """Four flat quarters: white, pure cyan, half black, cyan and magenta; in ink, 0..255."""
    ink = np.zeros((64, 64, 4), np.uint8)
    ink[:32, 32:, 0] = 255
    ink[32:, :32, 3] = 128
    ink[32:, 32:, :2] = 255
    file = encoded.encode(Image.fromarray(ink, "CMYK"), "JPEG", quality=98)  # Pillow writes the Adobe way, inverted
    assert b"Adobe" in file
    if adobe:
        return file
    plain = encoded.encode(Image.fromarray(255 - ink, "CMYK"), "JPEG", quality=98)
    marker = plain.index(b"\xff\xee")
    return plain[:marker] + plain[marker + 2 + int.from_bytes(plain[marker + 2 : marker + 4], "big") :]


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_inverted_or_not(adobe):
    pixels = pixels_of(cmyk_file(adobe)).astype(int)
    for (y, x), expected in {
        (16, 16): (255, 255, 255),
        (16, 48): (0, 255, 255),
        (48, 16): (127, 127, 127),
        (48, 48): (0, 0, 255),
    }.items():
        assert np.abs(pixels[y, x] - expected).max() <= 3


def test_cmyk_is_decoded_at_a_reduced_scale_too():
    file = cmyk_file(adobe=True)
    assert decode(file, read_header(file), 4).shape == (16, 16, 3)


def test_gray_and_arithmetic():
    gray = encoded.encode(RGB[..., 1], "JPEG", quality=95)
    pixels = pixels_of(gray)
    assert np.all(pixels[..., 0] == pixels[..., 2])
    assert np.abs(pixels[..., 0].astype(int) - RGB[..., 1]).mean() < 4


def unusual_subsampling() -> bytes:
    """One block row of 3 luma blocks beside 1 and 1 of chroma: simplejpeg knows no name for it. All gray 128."""
    file = encoded.encode(np.full((8, 24, 3), 128, np.uint8), "JPEG", subsampling=0)
    frame = file.index(b"\xff\xc0")
    file = file[: frame + 11] + b"\x31" + file[frame + 12 :]
    start = scan_start(file)
    luma, chroma = "00" + "1010", "00" + "00"  # no difference to the block before; no coefficients
    bits = luma * 3 + chroma * 2
    bits += "1" * (-len(bits) % 8)
    return file[:start] + int(bits, 2).to_bytes(len(bits) // 8, "big") + b"\xff\xd9"


def test_unusual_subsampling_is_left_to_pillow():
    file = unusual_subsampling()
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg(file)
    pixels = pixels_of(file)
    assert pixels.shape == (8, 24, 3)
    assert np.all(pixels == 128)
    assert decode(file, read_header(file), 4).shape == (2, 6, 3)


def test_a_file_of_endless_scans_is_refused_at_once():
    start = PROGRESSIVE.rindex(b"\xff\xda")
    bomb = PROGRESSIVE[:start] + PROGRESSIVE[start:-2] * (jpeg.MAX_SCANS + 1) + b"\xff\xd9"
    with pytest.raises(JpegError, match="more than 500 scans"):
        pixels_of(bomb)
