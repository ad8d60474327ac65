"""What a picture takes while it is decoded, and who takes too much."""

from PIL import ImageFile

from transforms.images.decoded import Limits
from transforms.images.jpeg import Header
from transforms.images.tiff_directory import check_directory
from transforms.records import ImageFailure, Stage, Status

MOST_BYTES = 9
"""Bytes that decoding may take at its peak for each pixel of ``Limits.max_pixels``: 1.2 GB where nothing else is said.

A colour JPEG in one scan takes 3, progressive 9, every format of Pillow 7 (its own four and our three), but WebP 16 and
AVIF 12, since their libraries hold several copies, and a TIFF what its tile adds.
"""

_POLICY = "input.max_pixels allows more"
_COPIES = {"WEBP": 16, "AVIF": 12}
_PLANES_OF_PILLOW, _RGB = 4, 3
_MOST_SAMPLES = 8  # bytes of a pixel in a TIFF's strip: four samples of 16 bits


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raises ImageFailure, TOO_LARGE, where there are more pixels than allowed."""
    if width * height > limits.max_pixels:
        raise ImageFailure(
            Status.TOO_LARGE,
            Stage.DECODE,
            f"{width} x {height} = {width * height:,} pixels; the limit is {limits.max_pixels:,}",
            "TooManyPixels",
        )


def check_jpeg(header: Header, limits: Limits) -> None:
    """Raises ImageFailure, TOO_LARGE, for a JPEG that takes too much: of several scans libjpeg keeps all coefficients,
    two bytes for each sample in full, whatever scale is decoded."""
    check_size(header.width, header.height, limits)
    coefficients = 0 if header.is_single_scan else 2 * header.components
    output = header.components + _RGB if header.components == 4 else _RGB
    _check("JPEG of several scans", header.width, header.height, coefficients + output, 0, limits)


def check_opened(image: ImageFile.ImageFile, kind: str, encoded: bytes, limits: Limits) -> None:
    """Raises ImageFailure, TOO_LARGE, for a picture that Pillow has opened, before it is decoded."""
    check_size(image.width, image.height, limits)
    each = _COPIES.get(kind, _PLANES_OF_PILLOW + _RGB)
    extra = 0
    if kind == "TIFF":
        each = _PLANES_OF_PILLOW + _RGB
        tile = check_directory(encoded).tile
        if tile is not None:
            check_size(*tile, limits)
            extra = tile[0] * tile[1] * _MOST_SAMPLES
    _check(kind, image.width, image.height, each, extra, limits)


def _check(kind: str, width: int, height: int, each: int, extra: int, limits: Limits) -> None:
    most = MOST_BYTES * limits.max_pixels
    needed = width * height * each + extra
    if needed > most:
        raise ImageFailure(
            Status.TOO_LARGE,
            Stage.DECODE,
            f"{kind} of {width} x {height} pixels: decoding takes {needed:,} bytes; {most:,} are allowed, {MOST_BYTES} "
            f"for each of {limits.max_pixels:,} pixels; {_POLICY}",
            "TooMuchMemory",
        )
