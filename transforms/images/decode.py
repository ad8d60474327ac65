"""Bytes -> pixels: decode, turn upright, resize. Pure functions that release the GIL while they work."""

import dataclasses

import cv2
import numpy as np

from transforms.images import jpeg, sniff
from transforms.images import pillow as rasters
from transforms.images.resize import shrink_area
from transforms.placement import Placement
from transforms.records import ImageFailure, Stage, Status

Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one image may cost."""

    max_bytes: int = 2**28  # encoded; checked while it is fetched
    # Declared width x height; checked before it is decoded. A 12,000 x 9,000 panorama passes; RGB takes 0.4 GB at most.
    max_pixels: int = 2**27


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class DecodedImage:
    """An upright picture, perhaps at a reduced scale, and the size that it has in full."""

    pixels: np.ndarray  # uint8 [ceil(height / reduction), ceil(width / reduction), 3] RGB
    width: int  # of the original after EXIF orientation, pixels
    height: int
    reduction: int = 1  # a decoded pixel covers so many original pixels each way, also where the last ones stick out


def decode(
    encoded: bytes,
    limits: Limits = Limits(),
    need: tuple[int, int] | None = None,
    max_side: int = 640,
    background: Colour = (255, 255, 255),
) -> DecodedImage:
    """Decode JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or PNM (PBM, PGM, PPM); of several frames or pages the first.

    Everything becomes RGB uint8: gray and palette are expanded, transparency is laid over ``background``, CMYK is
    converted without colour management, 16 bits are scaled down, the EXIF orientation is applied. Embedded colour
    profiles are ignored, as they are by the decoders that classifiers are trained with.

    Args:
        encoded: The file.
        limits: ``max_pixels``, checked against the header.
        need: ``(height, width)`` of the model input. A large JPEG is then decoded at 1/2, 1/4 or 1/8, as long as no
            side falls below twice the need: model inputs made from it differ by about one level of 255 on average from
            those of a full decode, for stretch, crop and pad alike. None: full size.
        max_side: Longest side of the overlay, pixels; the longest side stays at least that. Keep it the same for all
            images of a job, with an overlay or without, so that the statistics do not depend on the overlays.
        background: RGB behind transparent pixels.

    Raises:
        ImageFailure: TOO_LARGE, DECODE_ERROR for damaged data and what is no image, UNSUPPORTED for other formats.
    """
    kind = sniff.image_format(encoded)
    try:
        if kind == "JPEG":
            return _decode_jpeg(encoded, limits, need, max_side)
        image = rasters.open_header(encoded, kind)
        _check_pixels(image.width, image.height, limits)
        pixels = rasters.to_rgb(image, encoded, background)
    except ImageFailure:
        raise
    except MemoryError as error:
        raise ImageFailure(Status.TOO_LARGE, Stage.DECODE, f"{kind}: not enough memory to decode it") from error
    except Exception as error:  # decoders fed with hostile bytes raise anything; every cause becomes one row
        raise ImageFailure(
            Status.DECODE_ERROR, Stage.DECODE, f"damaged {kind}: {error or type(error).__name__}", type(error).__name__
        ) from error
    return DecodedImage(pixels, pixels.shape[1], pixels.shape[0])


def _decode_jpeg(encoded: bytes, limits: Limits, need: tuple[int, int] | None, max_side: int) -> DecodedImage:
    header = jpeg.read_header(encoded)
    _check_pixels(header.width, header.height, limits)
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
    pixels = _upright(jpeg.decode(encoded, header, reduction), header.orientation)
    return DecodedImage(pixels, width, height, reduction)


def resize(
    decoded: DecodedImage, placement: Placement, out: np.ndarray | None = None, padding: Colour = (0, 0, 0)
) -> np.ndarray:
    """The model input: uint8 ``[H, W, 3]`` of the placement's input size, written into ``out`` where it is given.

    Sides that shrink are averaged over the area, sides that grow are interpolated linearly. ``padding`` is the RGB of
    letterbox bars: black, as in ``tf.image.resize_with_pad`` and ``pad_to_aspect_ratio`` of Keras.
    """
    size = (placement.input_height, placement.input_width)
    out = np.empty((*size, 3), np.uint8) if out is None else out
    shown = _region(decoded, placement.to_original(np.array([0.0, 0.0, 1.0, 1.0])))
    x0, y0, x1, y1 = placement.content
    left, right = round(x0 * size[1]), round(x1 * size[1])
    top, bottom = round(y0 * size[0]), round(y1 * size[0])
    if (bottom - top, right - left) != size:
        out[:] = padding
    _resample(shown, out[top:bottom, left:right])
    return out


def shrink(decoded: DecodedImage, max_side: int) -> np.ndarray:
    """The picture under the overlay: uint8 ``[h, w, 3]``, its longest side at most ``max_side``; never enlarged."""
    longest = max(decoded.width, decoded.height)
    scale = min(1.0, max_side / longest)
    size = (max(1, round(decoded.height * scale)), max(1, round(decoded.width * scale)))
    if decoded.pixels.shape[:2] == size:
        return decoded.pixels
    everything = _region(decoded, np.array([0, 0, decoded.width, decoded.height]))
    if max(everything.shape[0] / size[0], everything.shape[1] / size[1]) <= 2:
        # Where the decoder has done the most of it, two pixels cover what one of the new ones stands for: nothing is
        # left out, in a sixth of the time. The model input is not taken from this.
        return cv2.resize(everything, size[::-1], interpolation=cv2.INTER_LINEAR)
    return _resample(everything, np.empty((*size, 3), np.uint8))


def _region(decoded: DecodedImage, box: np.ndarray) -> np.ndarray:
    """The decoded pixels of ``box``: x0, y0, x1, y1 in original pixels."""
    x0, y0, x1, y1 = (float(edge) for edge in box / decoded.reduction)
    left, top = round(x0), round(y0)
    width, height = max(1, round(x1 - x0)), max(1, round(y1 - y0))
    if max(abs(x0 - left), abs(x1 - left - width), abs(y0 - top), abs(y1 - top - height)) < 1e-6:
        return decoded.pixels[top : top + height, left : left + width]
    # Only at a reduced scale do edges fall between pixels. Half a pixel there would be seen in the model input.
    scale_x, scale_y = (x1 - x0) / width, (y1 - y0) / height
    to_decoded = np.array([[scale_x, 0, x0 + (scale_x - 1) / 2], [0, scale_y, y0 + (scale_y - 1) / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(decoded.pixels, to_decoded, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _resample(source: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Resize ``source`` into ``out``; averages over the area on the sides that shrink, linear on those that grow."""
    (source_height, source_width), (height, width) = source.shape[:2], out.shape[:2]
    if (source_height, source_width) == (height, width):
        out[:] = source
        return out
    if source_height >= height and source_width >= width:
        return shrink_area(source, out)
    # Averages need both sides to shrink.
    smaller = (min(width, source_width), min(height, source_height))
    if smaller != (source_width, source_height):
        source = shrink_area(source, np.empty((smaller[1], smaller[0], 3), np.uint8))
    return cv2.resize(source, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)


def _reduction(width: int, height: int, need: tuple[int, int], max_side: int) -> int:
    """The largest of 8, 4, 2 and 1 that leaves the upright picture as large as needed."""
    enough = min(height / (2 * need[0]), width / (2 * need[1]), max(width, height) / max(max_side, 1))
    return next((reduction for reduction in (8, 4, 2) if reduction <= enough), 1)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the EXIF orientation, 1..8."""
    if orientation == 2:
        return cv2.flip(pixels, 1)
    if orientation == 3:
        return cv2.rotate(pixels, cv2.ROTATE_180)
    if orientation == 4:
        return cv2.flip(pixels, 0)
    if orientation == 5:
        return cv2.transpose(pixels)
    if orientation == 6:
        return cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
    if orientation == 7:
        return cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
    if orientation == 8:
        return cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return pixels


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise ImageFailure(
            Status.TOO_LARGE,
            Stage.DECODE,
            f"{width} x {height} = {width * height:,} pixels; the limit is {limits.max_pixels:,}",
            "TooManyPixels",
        )
