"""A remote file as a file: read in large blocks, of which the last few are kept."""

import collections
import io
from typing import IO

from transforms.storage.storage import Storage

_BLOCK = 16 << 20
_KEPT = 2


def open_blocks(uri: str, storage: Storage, start: int = 0, end: int | None = None) -> IO[bytes]:
    """The file at ``uri``; to read it from its beginning to its end takes a request for every 16 MiB.

    Args:
        start, end: the bytes that will be read, where only those of a part of the file will be.
    """
    return io.BufferedReader(_Blocks(uri, storage, start, storage.size(uri) if end is None else end), 1 << 16)


class _Blocks(io.RawIOBase):
    def __init__(self, uri: str, storage: Storage, start: int, end: int):
        self._uri, self._storage, self._at = uri, storage, start
        self._start, self._size = start, end
        self._kept: collections.OrderedDict[int, bytes] = collections.OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        if self._at < self._start:
            raise OSError(f"byte {self._at:,} lies before the part of the file that is read")
        number, begin = divmod(self._at - self._start, _BLOCK)
        some = self._block(number)[begin : begin + len(buffer)]
        buffer[: len(some)] = some
        self._at += len(some)
        return len(some)

    def _block(self, number: int) -> bytes:
        if number not in self._kept:
            start = self._start + number * _BLOCK
            self._kept[number] = self._storage.fetch_range(self._uri, start, min(start + _BLOCK, self._size))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[number]
