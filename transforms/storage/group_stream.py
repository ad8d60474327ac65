"""The images of a large row group of a Parquet file, in their order: what is in memory of it is what is asked for."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import IO

import pyarrow as pa

from transforms.containers import stream_group
from transforms.records import ImageFailure, Stage, Status
from transforms.storage.access import check_bytes
from transforms.storage.rows import RowMember

_ATTEMPTS = 3  # to read it, all images together


class GroupStream:
    """Who asks for the images in about the order of their rows has the group read once. Thread-safe.

    Memory: images between the first row that nobody has asked for yet and the last that somebody has, two blocks, and a
    page, which is as large as the writer of the file has made it.

    Args:
        member: any of the images.
        first: row of the group, as rows of the file are counted.
        rows: of the file, that will be asked for.
        open_file: the file, to be read from any byte on.
    """

    def __init__(self, member: RowMember, first: int, rows: Iterable[int], open_file: Callable[[], IO[bytes]]):
        self._member = member
        self._first = first
        self._wanted = set(rows)
        self._open_file = open_file
        self._lock = threading.Lock()
        self._held: dict[int, bytes | None] = {}
        self._images: Iterator[tuple[int, bytes | None]] | None = None
        self._failures = 0
        self._failure = ""

    def image(self, row: int, max_bytes: int) -> bytes:
        """The image of a row, for the one who asks for it; raises ImageFailure."""
        with self._lock:
            if row not in self._held:
                self._read_up_to(row)
            image = self._held.pop(row)
            self._wanted.discard(row)
        if image is None:
            raise _failed(f"there is no image in this row of {self._member.leaf}", "OSError")
        check_bytes(len(image), max_bytes)
        return image

    def let_go(self, row: int) -> None:
        """Nobody will ask for it any more."""
        with self._lock:
            self._wanted.discard(row)
            self._held.pop(row, None)

    def _read_up_to(self, row: int) -> None:
        if self._failures >= _ATTEMPTS:
            raise _failed(self._failure, "OSError")
        try:
            if self._images is None:
                self._images = self._read()
            for found, image in self._images:
                if found in self._wanted:
                    self._held[found] = image
                if found == row:
                    return
            raise OSError(f"there is no row {row:,} in its row group; the file has changed")
        except (pa.ArrowException, OSError, ValueError, TimeoutError) as error:
            self._failures += 1
            self._failure = f"damaged in its file, or the file has changed: {error}"
            self._images = None
            raise _failed(self._failure, type(error).__name__) from error

    def _read(self) -> Iterator[tuple[int, bytes | None]]:
        row = self._first
        with self._open_file() as file:
            for some in stream_group(self._member.footer.metadata, self._member.leaf, self._member.group, file):
                for number in range(len(some)):
                    yield row, some[number].as_py() if row in self._wanted else None
                    row += 1


def _failed(message: str, name: str) -> ImageFailure:
    return ImageFailure(Status.FETCH_ERROR, Stage.FETCH, message, name)
