"""What a file asks of the libraries that open it, beside its pixels: chunks, comments, tags, items.

Each library reads all of them, many a byte or a chunk at a time in Python, before the picture can be refused for its
size. So they are counted here first, or left out where they say nothing about the pixels; in time that grows with the
length of the file, and is small.
"""

import re
import struct
from collections.abc import Callable

from transforms.images.tiff_directory import DirectoryError, check_directory
from transforms.records import ImageFailure, Stage, Status

MOST_CHUNKS = 1 << 17  # of a PNG or WebP: with the 8 kB that encoders put into each, a gigabyte
MOST_BLOCKS = 1 << 20  # sub-blocks of a GIF before its first picture
MOST_ITEMS = 1 << 12  # of an AVIF: what it is made of, metadata included; each is looked up in a list of all
MOST_META = 1 << 20  # bytes of an AVIF's tables
MOST_PYTHON_SAMPLES = 1 << 25  # for the decoders of Pillow that are written in Python: some ten seconds

_WHITE = rb" \t\n\x0b\x0c\r"
_NUMBER = re.compile(
    rb"(?:[" + _WHITE + rb"]++|#[^\r\n]*+(?:[\r\n]|\Z))*+([^#" + _WHITE + rb"]{1,10}+)(?=[#" + _WHITE + rb"]|\Z)"
)
_COMMENT = re.compile(rb"#[^\r\n]*+(?:[\r\n]|\Z)")
_SHORT = 256  # bytes of a header that nobody has padded
_FEW = {b"P1": 2, b"P4": 2}  # width and height; the others have a maximum behind them


def checked_container(encoded: bytes, kind: str) -> bytes:
    """``encoded``, or the same picture without what only costs time to pass over.

    Args:
        encoded: the file.
        kind: as of :func:`transforms.images.sniff.image_format`.

    Raises:
        ImageFailure: TOO_LARGE where opening the file costs far more than its pixels do.
    """
    check = _CHECKS.get(kind)
    return encoded if check is None else check(encoded)


def _png(encoded: bytes) -> bytes:
    position, chunks, end = 8, 0, len(encoded)
    while position + 8 <= end:
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise _too_much(f"PNG with more than {MOST_CHUNKS:,} chunks")
        position += 12 + int.from_bytes(encoded[position : position + 4], "big")
    return encoded


def _webp(encoded: bytes) -> bytes:
    position, chunks, end = 12, 0, len(encoded)
    while position + 8 <= end:
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise _too_much(f"WebP with more than {MOST_CHUNKS:,} chunks")
        length = int.from_bytes(encoded[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return encoded


def _gif(encoded: bytes) -> bytes:
    """Without the comments and application blocks before the first picture: Pillow adds comments up one by one."""
    if len(encoded) < 13:
        return encoded
    start = 13 + (3 << ((encoded[10] & 7) + 1) if encoded[10] & 0x80 else 0)
    kept = [encoded[:start]]
    position, blocks = start, 0
    while encoded[position : position + 1] == b"!":
        begin, label = position, encoded[position + 1 : position + 2]
        position += 2
        while position < len(encoded) and (length := encoded[position]):
            position += 1 + length
            blocks += 1
            if blocks > MOST_BLOCKS:
                break
        position += 1
        blocks += 1
        if blocks > MOST_BLOCKS:
            raise _too_much(f"GIF with more than {MOST_BLOCKS:,} blocks before its first picture")
        if label == b"\xf9":  # transparency and timing
            kept.append(encoded[begin:position])
    if sum(map(len, kept)) == position:
        return encoded
    return b"".join([*kept, encoded[position:]])


def _pnm(encoded: bytes) -> bytes:
    """Without comments, which Pillow passes over a byte at a time, or by copying the rest."""
    magic, position, numbers = encoded[:2], 2, []
    for _ in range(_FEW.get(magic, 3)):
        match = _NUMBER.match(encoded, position)
        if match is None or not match[1].isdigit():
            return encoded[: position + _SHORT]  # Pillow says what is wrong, at the first byte that is
        numbers.append(match[1])
        position = match.end()
    # A comment may follow the last number at once; in a binary file a single white space stands before the samples.
    is_plain = magic in (b"P1", b"P2", b"P3")
    comment = _COMMENT.match(encoded, position)
    if comment is not None:
        position = comment.end() - 1
    _check_pnm_samples(magic, numbers)
    if position <= _SHORT and b"#" not in encoded[:position] and not is_plain:
        return encoded
    samples = encoded[position + 1 :]
    if is_plain:
        samples = _COMMENT.sub(b"", samples)
    return b"\n".join([magic, b" ".join(numbers[:2]), *numbers[2:], samples])


def _check_pnm_samples(magic: bytes, numbers: list[bytes]) -> None:
    width, height, *rest = map(int, numbers)
    maximum = rest[0] if rest else 1
    is_fast = magic == b"P4" or (magic in (b"P5", b"P6") and (maximum == 255 or (maximum, magic) == (65535, b"P5")))
    samples = width * height * (3 if magic in (b"P3", b"P6") else 1)
    if not is_fast and samples > MOST_PYTHON_SAMPLES:
        raise _too_much(
            f"PNM with {samples:,} samples as text or with a maximum of {maximum}: more than {MOST_PYTHON_SAMPLES:,} "
            "take minutes",
            "store it as PNG, or binary with a maximum of 255",
        )


def _bmp(encoded: bytes) -> bytes:
    if len(encoded) < 34:
        return encoded
    header, width, height = struct.unpack_from("<Lll", encoded, 14)
    if header < 40:
        return encoded
    compression = int.from_bytes(encoded[30:34], "little")
    if compression in (1, 2) and (width > 0xFFFF or abs(width * height) > MOST_PYTHON_SAMPLES):
        raise _too_much(
            f"run-length encoded BMP of {width} x {abs(height)}: more than {MOST_PYTHON_SAMPLES:,} pixels, or "
            "65,535 across, take minutes",
            "store it as PNG",
        )
    return encoded


def _tiff(encoded: bytes) -> bytes:
    try:
        check_directory(encoded)
    except DirectoryError as error:
        raise _too_much(f"TIFF: {error}") from None
    return encoded


def _avif(encoded: bytes) -> bytes:
    """Without its EXIF, which Pillow reads whatever it asks for, though a transformation of its own says which way up
    an AVIF is. Its tables are searched from the beginning for each item."""
    hidden: list[int] = []
    for kind, start, end in _boxes(encoded, 0, len(encoded)):
        if kind != b"meta":
            continue
        tables = 0
        for inner, first, last in _boxes(encoded, start + 4, end):
            tables += 0 if inner == b"idat" else last - first
            if inner == b"iinf" and last - first >= 8:
                width = 2 if encoded[first] == 0 else 4
                items = int.from_bytes(encoded[first + 4 : first + 4 + width], "big")
                if items > MOST_ITEMS:
                    raise _too_much(f"AVIF with {items:,} items; no more than {MOST_ITEMS:,} are read")
                for _, entry, entry_end in _boxes(encoded, first + 4 + width, last):
                    # version and flags, number of the item, protection, then its type
                    place = entry + (8 if encoded[entry : entry + 1] == b"\x02" else 10)
                    if place + 4 <= entry_end and encoded[place : place + 4] == b"Exif":
                        hidden.append(place)
        if tables > MOST_META:
            raise _too_much(f"AVIF with tables of {tables:,} bytes; no more than {MOST_META:,} are read")
    if not hidden:
        return encoded
    changed = bytearray(encoded)
    for place in hidden:
        changed[place : place + 4] = b"skip"  # no type of item
    return bytes(changed)


def _boxes(encoded: bytes, position: int, end: int) -> list[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box of an ISO base media file in a range."""
    boxes: list[tuple[bytes, int, int]] = []
    while position + 8 <= end:
        length, kind = struct.unpack_from(">L4s", encoded, position)
        header = 8
        if length == 1 and position + 16 <= end:
            length, header = int.from_bytes(encoded[position + 8 : position + 16], "big"), 16
        elif length == 0:
            length = end - position
        if length < header:
            break
        boxes.append((kind, position + header, min(position + length, end)))
        if len(boxes) > MOST_CHUNKS:
            raise _too_much(f"AVIF with more than {MOST_CHUNKS:,} boxes")
        position += length
    return boxes


_CHECKS: dict[str, Callable[[bytes], bytes]] = {
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "PNM": _pnm,
    "BMP": _bmp,
    "TIFF": _tiff,
    "AVIF": _avif,
}


def _too_much(what: str, remedy: str = "write the picture again without its metadata") -> ImageFailure:
    return ImageFailure(Status.TOO_LARGE, Stage.DECODE, f"{what}; {remedy}", "TooMuchToRead")
