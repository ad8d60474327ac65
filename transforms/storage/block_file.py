"""A remote file as a file: read in large blocks, of which the last few are kept."""

import collections
import io
from typing import IO

from transforms.containers import PartOfFile
from transforms.storage.storage import Storage

_BLOCK = 16 << 20
_KEPT = 2


def open_blocks(uri: str, storage: Storage, start: int = 0, end: int | None = None) -> IO[bytes]:
    """The file at ``uri``; to read it from its beginning to its end takes a request for every 16 MiB.

    Args:
        start, end: the bytes that will be read, where only those of a part of the file will be.
    """
    return io.BufferedReader(_Blocks(uri, storage, start, storage.size(uri) if end is None else end), 1 << 16)


class _Blocks(PartOfFile):
    def __init__(self, uri: str, storage: Storage, start: int, end: int):
        super().__init__(start, end)
        self._uri, self._storage = uri, storage
        self._kept: collections.OrderedDict[int, bytes] = collections.OrderedDict()
        self.seek(start)

    def some(self, begin: int, most: int) -> bytes:
        number, first = divmod(begin, _BLOCK)
        return self._block(number)[first : first + most]

    def _block(self, number: int) -> bytes:
        if number not in self._kept:
            start = self._start + number * _BLOCK
            self._kept[number] = self._storage.fetch_range(self._uri, start, min(start + _BLOCK, self._end))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[number]
