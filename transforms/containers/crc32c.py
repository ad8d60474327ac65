"""CRC-32C (Castagnoli), masked as TFRecord files have it.

Of a few bytes by a table; of whole records by google-crc32c where that is installed, since a table takes milliseconds.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable

_POLYNOMIAL = 0x82F63B78  # reflected
_MASK_DELTA = 0xA282EAD8


def masked(checksum: int) -> int:
    """A sum as a file holds it: rotated by 15 bits and shifted, so that sums of sums are no special case."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def of_few(content: bytes) -> int:
    """The sum of a few bytes.

    >>> hex(of_few(b"123456789"))
    '0xe3069283'
    """
    table, checksum = _table(), 0xFFFFFFFF
    for byte in content:
        checksum = table[(checksum ^ byte) & 0xFF] ^ (checksum >> 8)
    return checksum ^ 0xFFFFFFFF


@functools.cache
def of_many() -> Callable[[bytes], int] | None:
    """The quick function; None where google-crc32c is not installed."""
    if importlib.util.find_spec("google_crc32c") is None:
        return None
    return importlib.import_module("google_crc32c").value


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return tuple(table)
