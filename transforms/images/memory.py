"""What a picture takes while it is decoded, and who takes too much."""

from PIL import ImageFile, TiffImagePlugin

from transforms.images.decoded import Limits
from transforms.images.jpeg import Header
from transforms.images.tiff_directory import check_directory
from transforms.records import ImageFailure, Stage, Status

MOST_BYTES = 9
"""Bytes that decoding may take at its peak for each pixel of ``Limits.max_pixels``: 1.2 GB where nothing else is said.

A colour JPEG in one scan takes 3, progressive 9, every format of Pillow 7 (its own four and our three), but WebP 16 and
AVIF 12, since their libraries hold several copies, and a TIFF of one strip up to 12.
"""

_POLICY = "input.max_pixels allows more"
_COPIES = {"WEBP": 16, "AVIF": 12}
_PLANES_OF_PILLOW, _RGB = 4, 3
_BITS, _COMPRESSION, _SAMPLES, _ROWS = 258, 259, 277, 278  # TIFF tags


def most_bytes_of(limits: Limits) -> int:
    """What decoding one picture takes at its peak, beside the encoded file."""
    return MOST_BYTES * limits.max_pixels


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
    extra = 0
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        extra = _block_of_tiff(image, encoded, limits) - _RGB * image.width * image.height
    each = _COPIES.get(kind, _PLANES_OF_PILLOW + _RGB)
    _check(kind, image.width, image.height, each, max(extra, 0), limits)


def _block_of_tiff(image: TiffImagePlugin.TiffImageFile, encoded: bytes, limits: Limits) -> int:
    """Bytes of a strip or tile, which libtiff unpacks whole, before there is any RGB."""
    tags = image.tag_v2
    tile = check_directory(encoded).tile
    if tile is not None:
        check_size(*tile, limits)
    elif tags.get(_COMPRESSION, 1) == 1:
        return 0  # read as it lies there
    width, rows = tile or (image.width, min(_number(tags.get(_ROWS), image.height), image.height))
    bits = tags.get(_BITS, (1,))
    return width * rows * max(_number(tags.get(_SAMPLES), 1), 1) * max(bits) // 8


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _check(kind: str, width: int, height: int, each: int, extra: int, limits: Limits) -> None:
    most = most_bytes_of(limits)
    needed = width * height * each + extra
    if needed > most:
        raise ImageFailure(
            Status.TOO_LARGE,
            Stage.DECODE,
            f"{kind} of {width} x {height} pixels: decoding takes {needed:,} bytes; {most:,} are allowed, {MOST_BYTES} "
            f"for each of {limits.max_pixels:,} pixels; {_POLICY}",
            "TooMuchMemory",
        )
