"""Pictures of 16 bits for models that want them: uint16 RGB, from PNG, TIFF and PGM of 16 bits, else 8 bits widened."""

import cv2
import numpy as np
from PIL import Image, ImageFile

from transforms.images import pillow as rasters
from transforms.records import ImageFailure, Stage, Status

_TO_16 = 257  # 65535 = 255 * 257: black stays black and white white
_BITS, _SAMPLE_FORMAT = 258, 339  # TIFF tags
_ORIENTATION = 0x0112
_SAME = 2  # levels of 255: one decoder cuts where the other rounds, and both round what lies behind transparency


def widened(pixels: np.ndarray) -> np.ndarray:
    """uint8 -> uint16 of the same shape, 0..255 -> 0..65535."""
    return pixels.astype(np.uint16) * np.uint16(_TO_16)


def narrowed(pixels: np.ndarray) -> np.ndarray:
    """uint16 -> the nearest uint8; uint8 stays as it is. Undoes :func:`widened`."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + _TO_16 // 2) // _TO_16).astype(np.uint8)


def read_16_bits(encoded: bytes, kind: str) -> tuple[np.ndarray, int] | None:
    """RGB uint16 ``[H, W, 3]`` and the EXIF orientation that it still has; None where there are fewer bits.

    To be called for files that :func:`transforms.images.pillow.to_rgb` has decoded: that finds damage.
    """
    image = rasters.open_header(encoded, kind)
    if not _has_16_bits(image, encoded):
        return None
    if image.mode.startswith("I"):
        image.load()
        pixels = cv2.cvtColor(_gray(image), cv2.COLOR_GRAY2RGB)
    else:
        pixels = _colour(encoded, kind)
        if kind == "TIFF":
            return pixels, 1  # OpenCV turns these, and these alone
    return pixels, image.getexif().get(_ORIENTATION, 1)


def refuse_another_picture(deep: np.ndarray, flat: np.ndarray) -> None:
    """Two decoders have read a file: OpenCV its 16 bits, Pillow 8 of them. They must have seen the same.

    Raises:
        ImageFailure: UNSUPPORTED.
    """
    if deep.shape == flat.shape and cv2.norm(narrowed(deep), flat, cv2.NORM_INF) <= _SAME:
        return
    raise _unsupported("this layout of 16-bit samples, which two decoders read differently: save it as plain RGB")


def _has_16_bits(image: ImageFile.ImageFile, encoded: bytes) -> bool:
    if image.mode not in ("RGB", "RGBA", "LA") and not image.mode.startswith("I"):
        return False  # CMYK and so on: as with 8 bits
    if image.format == "PNG":
        return encoded[24] == 16
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        return set(tags.get(_BITS, (1,))) == {16} and set(tags.get(_SAMPLE_FORMAT, (1,))) == {1}
    return image.format == "PPM" and image.mode.startswith("I")


def _gray(image: Image.Image) -> np.ndarray:
    gray = np.asarray(image).astype(np.uint16)
    return 65535 - gray if getattr(image, "tag_v2", {}).get(rasters.PHOTOMETRIC) == 0 else gray


def _colour(encoded: bytes, kind: str) -> np.ndarray:
    """Transparency is laid over white. By OpenCV: Pillow has no pictures of three times 16 bits."""
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise _unsupported(f"this layout of 16-bit samples in a {kind}: save it as plain RGB")
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    alpha = pixels[..., 3:].astype(np.uint32)
    return ((pixels[..., 2::-1] * alpha + 65535 * (65535 - alpha) + 32767) // 65535).astype(np.uint16)


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(Status.UNSUPPORTED, Stage.DECODE, f"cannot decode {what}", "UnsupportedFormat")
