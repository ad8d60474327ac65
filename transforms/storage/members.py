"""Images that lie inside larger files: which bytes of the file an image is, and how it is made of them.

| URI | image |
|---|---|
| ``tar://NAME::FILE``, ``zip://NAME::FILE`` | a member, as fsspec names it |
| ``tfrecord://START-END/FEATURE::FILE`` | a feature of the tf.train.Example in these bytes of a TFRecord file |
| ``parquet://ROW/COLUMN::FILE`` | a row of a column of images, counted from 0 |
"""

import dataclasses
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from transforms.containers import DamagedRecordError, NoExampleError, parse_example, record_of
from transforms.storage import uris
from transforms.storage.access import check_bytes
from transforms.storage.archives import ArchiveChanged, ReadRange

if TYPE_CHECKING:
    from transforms.storage.rows import ParquetFooter  # the launch side reads configs without pyarrow

_RECORD = re.compile(r"(\d{1,18})-(\d{1,18})/(.+)", re.DOTALL)
_ROW = re.compile(r"(\d{1,18})/(.+)", re.DOTALL)


class Member(Protocol):
    """An image inside a file."""

    @property
    def span(self) -> tuple[int, int]:
        """(first byte, how many) of what has to be read."""

    def read(self, read_range: ReadRange, max_bytes: int) -> bytes:
        """The encoded image; raises ImageFailure, TOO_LARGE, or OSError where there is none."""


def record_uri(start: int, end: int, feature: str, file: str) -> str:
    """The URI of an image in a TFRecord file; the bytes are those of the record with its frame."""
    return f"tfrecord://{start}-{end}/{feature}::{file}"


def row_uri(row: int, column: str, file: str) -> str:
    """The URI of an image in a Parquet file."""
    return f"parquet://{row}/{column}::{file}"


@dataclasses.dataclass(frozen=True, slots=True)
class RecordMember:
    """A feature of a tf.train.Example in a TFRecord file."""

    start: int
    end: int
    feature: str

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end - self.start

    def read(self, read_range: ReadRange, max_bytes: int) -> bytes:
        check_bytes(self.end - self.start, max_bytes + (1 << 20))  # beside the image, a record holds little
        try:
            found = parse_example(record_of(read_range(self.start, self.end))).get(self.feature, [])
        except DamagedRecordError as error:
            raise ArchiveChanged(str(error)) from None
        except NoExampleError as error:
            raise OSError(str(error)) from None
        if len(found) != 1 or not isinstance(found[0], memoryview):
            raise OSError(f"the record has no image in {self.feature}")
        check_bytes(len(found[0]), max_bytes)
        return bytes(found[0])


def member_of_uri(kind: str, name: str, footer: "Callable[[], ParquetFooter | None]") -> Member | None:
    """The image that a ``tfrecord://`` or ``parquet://`` link names; None for other kinds.

    Raises:
        ValueError: the link is not written as it must be, or there is no such row or column.
    """
    if kind == "tfrecord":
        parts = _RECORD.fullmatch(name)
        if parts is None or int(parts[1]) >= int(parts[2]):
            raise ValueError(f"write tfrecord://START-END/FEATURE::FILE, not tfrecord://{name}")
        return RecordMember(int(parts[1]), int(parts[2]), parts[3])
    if kind == "parquet":
        parts = _ROW.fullmatch(name)
        if parts is None:
            raise ValueError(f"write parquet://ROW/COLUMN::FILE, not parquet://{name}")
        from transforms.storage.rows import RowMember

        found = footer()
        if found is None:
            raise ValueError("not a Parquet file")
        return RowMember.of(found, int(parts[1]), parts[2])
    return None


def split_member(uri: str) -> tuple[str, str, str] | None:
    """(kind, name within, URI of the file); None where it is no image inside a file, or not that plainly.

    >>> split_member("zip://a/b.jpg::s3://bucket/x.zip")
    ('zip', 'a/b.jpg', 's3://bucket/x.zip')
    """
    kind = uris.scheme_of(uri)
    if kind not in uris.CONTAINERS or not uris.is_chained(uri):
        return None
    _, name, after = uris.split(uri)
    file = after.removeprefix("::")
    return None if uris.is_chained(file) else (kind, name, file)
