"""A file of which only a part can be read, at its place in the whole."""

import abc
import io


class PartOfFile(io.RawIOBase):
    """Bytes ``start`` to ``end`` of a file; whoever derives from it says where they come from."""

    def __init__(self, start: int, end: int):
        self._start, self._end, self._at = start, end, 0

    @abc.abstractmethod
    def some(self, begin: int, most: int) -> bytes | memoryview:
        """At least one and at most ``most`` bytes, those from ``begin`` on, which is counted from ``start``."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence] + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self._end:
            return 0
        if self._at < self._start:
            raise OSError(f"byte {self._at:,} lies before the part of the file that is read")
        found = self.some(self._at - self._start, len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
