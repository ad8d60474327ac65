"""Bytes -> pixels: decode and turn upright. Pure functions that release the GIL while they work."""

import dataclasses

import numpy as np

from transforms.images import deep, jpeg, sniff
from transforms.images import pillow as rasters
from transforms.images.containers import checked_container
from transforms.images.decoded import DecodedImage, Limits
from transforms.images.memory import check_jpeg, check_opened
from transforms.images.orientation import upright
from transforms.records import ImageFailure, Stage, Status


def decode_image(
    encoded: bytes,
    limits: Limits = Limits(),
    need: tuple[int, int] | None = None,
    max_side: int = 640,
    bits: int = 8,
) -> DecodedImage:
    """Decode JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or PNM (PBM, PGM, PPM); of several frames or pages the first.

    Everything becomes RGB uint8: gray and palette are expanded, transparency is laid over white, CMYK is
    converted without colour management, 16 bits are scaled down, the EXIF orientation is applied. Embedded colour
    profiles are ignored, as they are by the decoders that classifiers are trained with.

    Args:
        encoded: The file.
        limits: ``max_pixels``, checked against the header; while it is decoded, it takes nine bytes for each at most.
        need: ``(height, width)`` of the model input. A large JPEG is then decoded at 1/2, 1/4 or 1/8, as long as no
            side falls below twice the need: model inputs made from it differ by about one level of 255 on average from
            those of a full decode, for stretch, crop and pad alike. None: full size.
        max_side: Longest side of the overlay, pixels; the longest side stays at least that. Keep it the same for all
            images of a job, with an overlay or without, so that the statistics do not depend on the overlays.
        bits: 16 for uint16: the 16 bits of PNG, TIFF and PGM that have them, else 8 bits times 257.

    Raises:
        ImageFailure: TOO_LARGE, DECODE_ERROR for damaged data and what is no image, UNSUPPORTED for other formats.
    """
    kind = sniff.image_format(encoded)
    try:
        if kind == "JPEG":
            decoded = _decode_jpeg(encoded, limits, need, max_side)
            return decoded if bits == 8 else dataclasses.replace(decoded, pixels=deep.widened(decoded.pixels))
        encoded = checked_container(encoded, kind)
        image = rasters.open_header(encoded, kind)
        check_opened(image, kind, encoded, limits)
        pixels = rasters.to_rgb(image, encoded)
        if bits == 16:
            pixels = _deepened(pixels, encoded, kind)
    except ImageFailure:
        raise
    except MemoryError as error:
        raise ImageFailure(Status.TOO_LARGE, Stage.DECODE, f"{kind}: not enough memory to decode it") from error
    except Exception as error:  # decoders fed with hostile bytes raise anything; every cause becomes one row
        raise ImageFailure(
            Status.DECODE_ERROR, Stage.DECODE, f"damaged {kind}: {error or type(error).__name__}", type(error).__name__
        ) from error
    return DecodedImage(pixels, pixels.shape[1], pixels.shape[0])


def _deepened(pixels: np.ndarray, encoded: bytes, kind: str) -> np.ndarray:
    found = deep.read_16_bits(encoded, kind)
    if found is None:
        return deep.widened(pixels)
    turned = upright(*found)
    deep.refuse_another_picture(turned, pixels)
    return turned


def _decode_jpeg(encoded: bytes, limits: Limits, need: tuple[int, int] | None, max_side: int) -> DecodedImage:
    header = jpeg.read_header(encoded)
    check_jpeg(header, limits)
    if header.precision != 8:
        raise ImageFailure(
            Status.UNSUPPORTED,
            Stage.DECODE,
            f"cannot decode JPEG with {header.precision} bits per sample: convert it to 8 bits",
            "UnsupportedFormat",
        )
    is_turned = header.orientation >= 5
    width, height = (header.height, header.width) if is_turned else (header.width, header.height)
    reduction = 1 if need is None else _reduction(width, height, need, max_side)
    if header.orientation not in (1, 5):
        # Pixels that stick out must do so on the right and at the bottom, not where a turn would bring them.
        while width % reduction or height % reduction:
            reduction //= 2
    pixels = upright(jpeg.decode(encoded, header, reduction), header.orientation)
    return DecodedImage(pixels, width, height, reduction)


def _reduction(width: int, height: int, need: tuple[int, int], max_side: int) -> int:
    """The largest of 8, 4, 2 and 1 that leaves the upright picture as large as needed."""
    enough = min(height / (2 * need[0]), width / (2 * need[1]), max(width, height) / max(max_side, 1))
    return next((reduction for reduction in (8, 4, 2) if reduction <= enough), 1)
