"""``tf.train.Example`` -> its features, without TensorFlow.

message Example   { Features features = 1; }
message Features  { map<string, Feature> feature = 1; }
message Feature   { oneof { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; } }
message ...List   { repeated ... value = 1; }   packed or not
"""

import struct
from collections.abc import Iterator

Feature = list[memoryview] | list[float] | list[int]
"""The values of one feature; bytes are views of the record."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class NoExampleError(ValueError):
    """The bytes are no tf.train.Example."""


def parse_example(record: bytes | memoryview) -> dict[str, Feature]:
    """The features of a record, by name; of one that stands twice, the last.

    Raises:
        NoExampleError: the bytes are something else.
    """
    features: dict[str, Feature] = {}
    try:
        for features_message in _messages(memoryview(record), 1):
            for entry in _messages(features_message, 1):
                name, feature = "", memoryview(b"")
                for field, value in _fields(entry):
                    if field == 1 and isinstance(value, memoryview):
                        name = bytes(value).decode()
                    elif field == 2 and isinstance(value, memoryview):
                        feature = value
                features[name] = _values(feature)
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise NoExampleError(f"not a tf.train.Example: {error}") from None
    return features


def _values(feature: memoryview) -> Feature:
    values: Feature = []
    for kind, message in _fields(feature):
        if not isinstance(message, memoryview):
            raise NoExampleError("not a tf.train.Example: a feature is no list")
        if kind == 1:
            values = list(_messages(message, 1))
        elif kind == 2:
            values = _floats(message)
        elif kind == 3:
            values = _integers(message)
    return values


def _floats(message: memoryview) -> list[float]:
    values: list[float] = []
    for field, value in _fields(message):
        if field != 1:
            continue
        packed = value if isinstance(value, memoryview) else struct.pack("<I", value)
        values += struct.unpack(f"<{len(packed) // 4}f", packed)
    return values


def _integers(message: memoryview) -> list[int]:
    values: list[int] = []
    for field, value in _fields(message):
        if field != 1:
            continue
        if isinstance(value, int):
            values.append(_signed(value))
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            values.append(_signed(number))
    return values


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for field, value in _fields(message):
        if field == wanted:
            if not isinstance(value, memoryview):
                raise NoExampleError("not a tf.train.Example: a number stands where a message should")
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """(field number, value) of a message: bytes, or the number as it is written."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > end:
                raise NoExampleError("not a tf.train.Example: it is cut off")
            yield tag >> 3, message[at : at + length]
            at += length
        elif kind == _VARINT:
            number, at = _varint(message, at)
            yield tag >> 3, number
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
            if at + size > end:
                raise NoExampleError("not a tf.train.Example: it is cut off")
            yield tag >> 3, int.from_bytes(message[at : at + size], "little")
            at += size
        else:
            raise NoExampleError(f"not a tf.train.Example: there is no field of kind {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise NoExampleError("not a tf.train.Example: a number has no end")


def _signed(number: int) -> int:
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number
