"""JPEG: decoded at a reduced scale where less is needed, and never half a picture.

libjpeg goes on after damage and fills the rest with gray; it only leaves a warning. simplejpeg's strict mode turns
the first warning into an error. Some warnings are about things that cost no pixel, so these are mended in a copy of
the bytes, which is then decoded strictly again: a harmless warning must not hide a real one behind it.

What this finds: missing data, restart markers out of order, codes that run out of the scan. What nothing can find is a
changed bit after which the codes still make sense: JPEG has no checksum.
"""

import dataclasses
import io
import re
import struct
from collections.abc import Iterator

import cv2
import numpy as np
import simplejpeg
from PIL import Image, JpegImagePlugin

from transforms.images.flatten import to_rgb_strips
from transforms.images.orientation import exif_orientation

_SOI, _EOI, _SOS, _APP0, _APP1, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
# What is no marker: filling, a stuffed byte, and markers without a segment. By a search in C, since a file may be all
# of it.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_MOST_SEGMENTS = 20_000  # a colour profile takes 255 at most, extended XMP one for each 64 kB
_STRIP = 1 << 20  # pixels

# Warnings that need not cost a pixel: an end marker that is missing, stray bytes between segments or after the last
# pixel, and metadata. The rest are lost pixels: premature end of data, bad Huffman codes, restart markers out of order.
_HARMLESS = (
    "Premature end of JPEG file",
    "extraneous bytes before",
    "JFIF revision",
    "Adobe color transform",
    "ICC marker",
    "Invalid SOS",
)

_MOST_STRAY = 0.25  # of the file

# A progressive file of a few kilobytes can make a decoder go over a huge picture thousands of times.
MAX_SCANS = 500


class JpegError(ValueError):
    """The bytes are damaged, or a kind of JPEG that libjpeg-turbo does not decode."""


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a JPEG says about itself before its first scan."""

    width: int  # pixels as stored, before EXIF orientation
    height: int
    components: int  # 1 gray, 3 colour, 4 CMYK
    precision: int  # bits per sample
    is_progressive: bool
    is_single_scan: bool  # the first scan holds the whole picture
    has_adobe: bool  # written the Adobe way: CMYK is inverted
    orientation: int  # EXIF, 1..8


def read_header(encoded: bytes) -> Header:
    """Read the segments before the first scan.

    Raises:
        JpegError: There is no frame or no scan.
    """
    frame = None
    progressive, adobe, orientation = False, False, 0
    for marker, payload, _ in _segments(encoded):
        if marker in _FRAMES and frame is None:
            if len(payload) < 6:
                raise JpegError("frame header too short")
            frame = struct.unpack(">BHHB", payload[:6])
            progressive = marker in _PROGRESSIVE
        elif marker == _APP1 and payload.startswith(b"Exif\0") and not orientation:
            orientation = exif_orientation(payload)
        elif marker == _APP14 and payload.startswith(b"Adobe"):
            adobe = True
        elif marker == _SOS:
            if frame is None:
                raise JpegError("scan before the frame header")
            precision, height, width, components = frame
            single = payload[:1] == bytes([components]) and not progressive
            return Header(width, height, components, precision, progressive, single, adobe, orientation or 1)
    raise JpegError("it ends before the first scan")


def decode(encoded: bytes, header: Header, reduction: int) -> np.ndarray:
    """Decode to RGB uint8 ``[ceil(H / reduction), ceil(W / reduction), 3]``, not yet turned upright.

    ``reduction`` is 1, 2, 4 or 8: the scales that libjpeg-turbo has SIMD code for; those between are slower than the
    next larger one.

    Raises:
        JpegError: Part of the picture is lost.
    """
    if not header.is_single_scan and encoded.count(b"\xff\xda") > MAX_SCANS:
        raise JpegError(f"more than {MAX_SCANS} scans")
    size = {"min_height": -(-header.height // reduction), "min_width": -(-header.width // reduction)}
    space = "CMYK" if header.components == 4 else "RGB"
    try:
        pixels = simplejpeg.decode_jpeg(encoded, space, **size)
    except ValueError as error:
        message = str(error)
        if "subsampling" in message:
            return _decode_unusual(_without_metadata(encoded), reduction)
        if not any(part in message for part in _HARMLESS):
            raise JpegError(message) from None
        pixels = _decode_mended(_mend(encoded, header), space, size)
    return _cmyk_to_rgb(pixels, header.has_adobe) if space == "CMYK" else pixels


def _decode_unusual(encoded: bytes, reduction: int) -> np.ndarray:
    """Chroma subsampling that simplejpeg does not name. Pillow decodes it, but notices only a missing end.

    Without metadata, which Pillow would read, however much it asks for.
    """
    image: Image.Image = JpegImagePlugin.JpegImageFile(io.BytesIO(encoded))
    if reduction > 1:
        image = image.convert("RGB").reduce(reduction)
    return to_rgb_strips(image)


def _decode_mended(encoded: bytes, space: str, size: dict[str, int]) -> np.ndarray:
    try:
        return simplejpeg.decode_jpeg(encoded, space, **size)
    except ValueError as error:
        # Bytes between the last pixel and the end marker: the last thing that libjpeg looks at, so no other warning is
        # behind this one. Encoders pad; much more than padding means that the height in the header is wrong.
        stray = re.search(r"(\d+) extraneous bytes before marker 0xd9", str(error))
        if stray and int(stray[1]) < _MOST_STRAY * len(encoded):
            return simplejpeg.decode_jpeg(encoded, space, strict=False, **size)
        raise JpegError(str(error)) from None


def _mend(encoded: bytes, header: Header) -> bytes:
    """The same picture with a plain header and, where only that can be missing, an end marker.

    Drops metadata and stray bytes between segments; corrects the JFIF revision, an unknown Adobe colour transform and
    the spectral selection of a baseline scan. A picture of several scans is left without its end: where it was cut
    nobody can tell.
    """
    mended = [b"\xff\xd8"]
    end = len(encoded)
    for marker, payload, end in _segments(encoded):  # noqa: B007 - the scans begin at the last end
        if marker == _APP0 and payload.startswith(b"JFIF\0"):
            payload = payload[:5] + b"\x01\x01" + payload[7:]
        elif marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
            if payload[11] > 2:
                payload = payload[:11] + (b"\x02" if header.components == 4 else b"\x01") + payload[12:]
        elif 0xE0 <= marker <= 0xEF or marker == 0xFE:
            continue
        elif marker == _SOS and not header.is_progressive:
            payload = payload[:-3] + b"\x00\x3f\x00"
        mended.append(struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload)
    scans = encoded[end:]
    if header.is_single_scan and b"\xff\xd9" not in scans:
        scans += b"\xff\xd9"
    return b"".join([*mended, scans])


def _without_metadata(encoded: bytes) -> bytes:
    """The same file without the segments that say nothing about the pixels."""
    kept, end = [b"\xff\xd8"], 2
    for marker, payload, end in _segments(encoded):  # noqa: B007 - the scans begin at the last end
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or marker in (_APP0, _APP14):
            kept.append(struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload)
    return b"".join([*kept, encoded[end:]])


def _segments(encoded: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, payload and end of every segment up to and with the first scan header; stray bytes are skipped."""
    position = 2
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(encoded, position)
        if found is None or found[0][1] == _EOI:
            return
        position = found.start()
        length = int.from_bytes(encoded[position + 2 : position + 4], "big")
        end = position + 2 + length
        if length < 2 or end > len(encoded):
            raise JpegError("a segment of its header is longer than the file")
        yield found[0][1], encoded[position + 4 : end], end
        if found[0][1] == _SOS:
            return
        position = end
    raise JpegError(f"more than {_MOST_SEGMENTS:,} segments before its first scan")


def _cmyk_to_rgb(cmyk: np.ndarray, is_inverted: bool) -> np.ndarray:
    """``(255 - ink) * (255 - black) / 255``; Adobe stores 255 - ink. No colour management, like TensorFlow."""
    pixels = np.empty((*cmyk.shape[:2], 3), np.uint8)
    rows = max(1, _STRIP // cmyk.shape[1])
    for top in range(0, len(cmyk), rows):  # what is made on the way is as large as the picture
        strip = cmyk[top : top + rows]
        light = strip if is_inverted else 255 - strip
        black = np.ascontiguousarray(light[..., 3])
        colours = [cv2.multiply(light[..., channel].copy(), black, scale=1 / 255) for channel in range(3)]
        pixels[top : top + rows] = cv2.merge(colours)
    return pixels
