"""The tags of a TIFF or of EXIF metadata, added up before anybody reads them.

Each tag names an offset and a length, and nothing says that two of them lie apart: the 65,535 tags of a file of one
megabyte may each ask for all of it, and Pillow keeps a copy for each.
"""

import dataclasses
import struct

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_BYTES = {1, 2, 6, 7}  # types that Pillow keeps as bytes; every value of the others becomes a Python object
_MOST_TAGS = 4096  # real files have some dozens
_MOST_NUMBERS = 1 << 20  # a strip for each of a million rows
_SHARED = 1 << 16  # bytes: writers do let small tags of equal content share a place

TILE_WIDTH, TILE_LENGTH = 322, 323
_ONE_VALUE = (TILE_WIDTH, TILE_LENGTH)


class DirectoryError(ValueError):
    """Reading the tags would cost far more than the file has."""


@dataclasses.dataclass(frozen=True)
class Directory:
    """What the first directory of a file asks for."""

    asked: int  # bytes of all values together
    numbers: int  # values that are not bytes
    tile: tuple[int, int] | None  # width and length in pixels; None where the file has none


def check_directory(content: bytes | memoryview) -> Directory:
    """Add up the first directory of ``content``, which begins with ``II`` or ``MM``.

    What cannot be followed ends the sum without an error: Pillow stops there too, or says what is wrong.

    Raises:
        DirectoryError: there are more tags, or more bytes or numbers in them, than a file of this length can have.
    """
    order = "<" if bytes(content[:2]) == b"II" else ">"
    asked = numbers = 0
    tile: dict[int, int] = {}
    try:
        is_big = struct.unpack_from(order + "H", content, 2)[0] == 43
        first = struct.unpack_from(order + ("Q" if is_big else "L"), content, 8 if is_big else 4)[0]
        count = struct.unpack_from(order + ("Q" if is_big else "H"), content, first)[0]
        entry, position, inline = ("HHQ", first + 8, 8) if is_big else ("HHL", first + 2, 4)
        step = struct.calcsize(order + entry) + inline
        if count > _MOST_TAGS:
            raise DirectoryError(f"its directory has {count:,} tags; no more than {_MOST_TAGS:,} are read")
        for number in range(count):
            tag, kind, values = struct.unpack_from(order + entry, content, position + number * step)
            size = values * _SIZES.get(kind, 0)
            asked += size if size > inline else 0
            numbers += 0 if kind in _BYTES else values * (kind in _SIZES)
            if tag in _ONE_VALUE and values == 1 and kind in (3, 4):
                value = order + ("H" if kind == 3 else "L")
                tile[tag] = struct.unpack_from(value, content, position + number * step + step - inline)[0]
    except struct.error:
        pass  # the rest lies behind the end of the file
    if asked > len(content) + _SHARED:
        raise DirectoryError(f"its tags overlap: together they ask for {asked:,} bytes of a file of {len(content):,}")
    if numbers > _MOST_NUMBERS:
        raise DirectoryError(f"its tags hold {numbers:,} numbers; no more than {_MOST_NUMBERS:,} are read")
    return Directory(asked, numbers, (tile[TILE_WIDTH], tile[TILE_LENGTH]) if len(tile) == 2 else None)
