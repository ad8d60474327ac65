"""A picture that Pillow has decoded -> RGB, a strip at a time, so that no second copy of it is ever whole."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from PIL import Image

_STRIP = 1 << 20  # pixels


def to_rgb_strips(image: Image.Image) -> np.ndarray:
    """RGB uint8 ``[H, W, 3]``, transparency laid over white."""

    def convert(strip: Image.Image) -> np.ndarray:
        if not strip.has_transparency_data:
            return np.asarray(strip.convert("RGB"))
        canvas = Image.new("RGB", strip.size, (255, 255, 255))
        layer = strip.convert("RGBA")
        canvas.paste(layer, mask=layer)
        return np.asarray(canvas)

    return _filled(image, convert)


def gray_16_to_rgb(image: Image.Image, is_white_zero: bool) -> np.ndarray:
    """RGB uint8 ``[H, W, 3]`` of gray samples in 0..65535."""

    def convert(strip: Image.Image) -> np.ndarray:
        # round(value * 255 / 65535), as 65535 = 255 * 257
        gray = ((np.asarray(strip).astype(np.uint32) + 128) // 257).astype(np.uint8)
        # Pillow turns "0 is white" around for 8 bits only.
        return cv2.cvtColor(255 - gray if is_white_zero else gray, cv2.COLOR_GRAY2RGB)

    return _filled(image, convert)


def unit_floats_to_rgb(image: Image.Image) -> np.ndarray:
    """RGB uint8 ``[H, W, 3]`` of gray floating point samples in 0..1."""
    return _filled(
        image, lambda strip: cv2.cvtColor(np.rint(np.asarray(strip) * 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    )


def extrema(image: Image.Image) -> tuple[float, float]:
    """The smallest and the largest sample; NaN where one of them is."""
    found = [(float(np.min(each)), float(np.max(each))) for each in (np.asarray(strip) for _, strip in _strips(image))]
    low, high = np.array(found).T
    return float(np.min(low)), float(np.max(high))


def _filled(image: Image.Image, convert: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = convert(strip)
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The strips of an image with the row at which each begins."""
    rows = max(1, _STRIP // image.width)
    if image.height <= rows:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))
