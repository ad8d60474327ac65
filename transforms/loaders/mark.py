"""What a loader is at, in memory that outlives it: so it is known which image a loader died of, or hangs at."""

import struct
import time

from transforms.loaders.memory import SharedMemory

_MARK = struct.Struct("<qd")  # number of the request, 0 for none; when it was begun


class Mark:
    """One request at a time. ``time.monotonic`` is one clock for all processes of a machine."""

    def __init__(self, memory: SharedMemory):
        self._memory = memory

    @classmethod
    def create(cls) -> "Mark":
        return cls(SharedMemory.create(_MARK.size))

    @property
    def fd(self) -> int:
        return self._memory.fd

    def begin(self, number: int) -> None:
        _MARK.pack_into(self._memory.buffer, 0, number, time.monotonic())

    def end(self) -> None:
        _MARK.pack_into(self._memory.buffer, 0, 0, 0.0)

    def read(self) -> tuple[int, float]:
        """The number of the request, 0 for none, and the seconds that it has taken so far."""
        number, began = _MARK.unpack_from(self._memory.buffer, 0)
        return number, time.monotonic() - began if number else 0.0

    def close(self) -> None:
        self._memory.close()


def mark_behind(fd: int) -> Mark:
    """The mark that another process has created."""
    return Mark(SharedMemory(fd, _MARK.size))
