"""TFRecord files: records one after the other, each with its length and the sums of both.

    uint64 length   uint32 masked CRC-32C of the length   bytes data[length]   uint32 masked CRC-32C of the data

All numbers are little-endian (tensorflow/core/lib/io/record_writer.h).
"""

import struct
from collections.abc import Iterator
from typing import IO

from transforms.containers import crc32c

_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")
_FRAME = _HEAD.size + _FOOT.size


class DamagedRecordError(ValueError):
    """The bytes are no record, or not what was written."""


def read_records(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """(offset of its frame, the frame with the record) of each record of a file, from its beginning.

    The sums of the records themselves are not looked at: one that is damaged costs its own image.

    Raises:
        DamagedRecordError: what follows is no record, or it is cut off.
    """
    offset = 0
    while head := file.read(_HEAD.size):
        length = _length(head, offset)
        rest = file.read(length + _FOOT.size)
        if len(rest) < length + _FOOT.size:
            raise DamagedRecordError(f"the record at byte {offset:,} is cut off")
        yield offset, head + rest
        offset += _FRAME + length


def record_of(frame: bytes) -> memoryview:
    """The record in a frame, after its sums are checked; that of the data where google-crc32c is installed.

    Raises:
        DamagedRecordError: a sum is wrong, or the frame is longer or shorter than it says.
    """
    length = _length(frame[: _HEAD.size], 0)
    if len(frame) != _FRAME + length:
        raise DamagedRecordError("not a record, or the file has changed")
    record = memoryview(frame)[_HEAD.size : -_FOOT.size]
    checksum = crc32c.of_many()
    if checksum is not None and crc32c.masked(checksum(bytes(record))) != _FOOT.unpack(frame[-_FOOT.size :])[0]:
        raise DamagedRecordError("damaged in its file: the checksum of the record is wrong")
    return record


def _length(head: bytes, offset: int) -> int:
    if len(head) < _HEAD.size:
        raise DamagedRecordError(f"the record at byte {offset:,} is cut off")
    length, checksum = _HEAD.unpack(head)
    if crc32c.masked(crc32c.of_few(head[:8])) != checksum:
        raise DamagedRecordError(f"there is no record at byte {offset:,}: the checksum of its length is wrong")
    return length
