"""Every format but JPEG, through Pillow: opened by its own plugin only, checked for damage, flattened to RGB."""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from transforms.images.flatten import extrema, gray_16_to_rgb, to_rgb_strips, unit_floats_to_rgb
from transforms.images.orientation import image_orientation, upright
from transforms.records import ImageFailure, Stage, Status

# The limit on pixels is ours, checked for each image against its own header. Pillow's is one for the whole process, and
# warns on standard error below it. Its other warnings are about metadata.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# A plugin is named outright: Image.open would try further ones, and would hide the reason of a failure.
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "PNM": PpmImagePlugin.PpmImageFile,
}
_PNG_CRITICAL = {b"IHDR", b"PLTE", b"IDAT"}
PHOTOMETRIC = 262  # TIFF tag
_NEW_SUBFILE_TYPE, _BITS, _PLANAR, _SAMPLE_FORMAT = 254, 258, 284, 339  # TIFF tags


def open_header(encoded: bytes, kind: str) -> ImageFile.ImageFile:
    """Read the header; ``kind`` as of :func:`transforms.images.sniff.image_format`. No pixel is decoded yet.

    Raises:
        ImageFailure: UNSUPPORTED where this Pillow, or any, cannot decode it.
    """
    if kind in ("WEBP", "AVIF") and not features.check(kind.lower()):
        raise _unsupported(f"{kind} with this build of Pillow: install a newer one, or convert the image")
    try:
        image = _PLUGINS[kind](io.BytesIO(encoded))
    except SyntaxError as error:
        if kind == "TIFF" and str(error) == "unknown pixel mode":
            raise _unsupported("this layout of TIFF samples: convert it to 8 or 16 bits per sample") from error
        raise
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image)
    return image


def to_rgb(image: ImageFile.ImageFile, encoded: bytes) -> np.ndarray:
    """Decode the first frame or page: upright RGB uint8 ``[H, W, 3]``, transparency laid over white.

    Raises:
        ImageFailure: UNSUPPORTED for sample formats whose range is not known.
        Exception: whatever the plugin raises for damaged data.
    """
    if image.format == "PNG":
        check_png(encoded)
    is_white_zero = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0
    image.load()
    orientation = image_orientation(image)
    # WebP and AVIF keep further copies of the picture in the decoder and in the file that stands for it.
    image.fp = None
    vars(image).pop("_decoder", None)
    pixels = _flat(image, is_white_zero)
    image.close()
    return upright(pixels, orientation)


def _flat(image: Image.Image, is_white_zero: bool) -> np.ndarray:
    if image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I"):  # scaled to 16 bits
        return gray_16_to_rgb(image, is_white_zero)
    if image.mode == "F":
        low, high = extrema(image)
        if not (low >= 0 and high <= 1):
            raise _unsupported(
                f"floating point samples from {low:g} to {high:g}: scale them to 0..1, or convert to 8 bits"
            )
        return unit_floats_to_rgb(image)
    if image.mode == "I":
        raise _unsupported("32-bit integer samples, whose range is not known: convert them to 8 or 16 bits")
    if image.mode == "LAB":
        raise _unsupported("CIELAB samples: convert the image to RGB")
    return to_rgb_strips(image)


def _check_tiff(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuse what Pillow would read, but wrongly."""
    tags = image.tag_v2
    if tags.get(_NEW_SUBFILE_TYPE, 0) & 1:
        raise _unsupported("camera RAW, of which only a thumbnail could be read: convert it to JPEG or PNG")
    if 2 in tags.get(_SAMPLE_FORMAT, ()):
        raise _unsupported("signed integer samples, whose range is not known: convert them to 8 or 16 bits, unsigned")
    if tags.get(_PLANAR) == 2 and max(tags.get(_BITS, (1,))) > 8:
        raise _unsupported("more than 8 bits per sample in separate planes: store the samples interleaved")


def check_png(encoded: bytes) -> None:
    """Check the checksums of what the picture is made of, up to its last IDAT; Pillow skips those of IDAT."""
    position, seen = 8, False
    while position + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, position)
        if kind == b"IDAT":
            seen = True
        elif seen:
            return
        end = position + 8 + length
        if kind in _PNG_CRITICAL:
            if end + 4 > len(encoded):
                raise OSError(f"it ends within a {kind.decode()} chunk")
            if zlib.crc32(memoryview(encoded)[position + 4 : end]) != int.from_bytes(encoded[end : end + 4], "big"):
                raise OSError(f"wrong checksum in a {kind.decode()} chunk")
        position = end + 4


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(Status.UNSUPPORTED, Stage.DECODE, f"cannot decode {what}", "UnsupportedFormat")
