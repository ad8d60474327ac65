"""What a loader is at, in memory that outlives it: so it is known which image a loader died of, or hangs at."""

import time

from transforms.loaders.memory import SharedMemory

_SIZE = 8  # bytes: one number, which is written and read at once, so that nobody reads half of it
_PAUSE = 1.0  # seconds; who has not looked for longer was stopped, and the loader probably with it


class Mark:
    """The number of the one request that a loader computes, 0 for none."""

    def __init__(self, memory: SharedMemory):
        self._memory = memory
        self._number = memoryview(memory.buffer).cast("q")

    @classmethod
    def create(cls) -> "Mark":
        return cls(SharedMemory.create(_SIZE))

    @property
    def fd(self) -> int:
        return self._memory.fd

    def begin(self, number: int) -> None:
        self._number[0] = number

    def end(self) -> None:
        self._number[0] = 0

    def read(self) -> int:
        return self._number[0]

    def close(self) -> None:
        self._number.release()
        self._memory.close()


class Stopwatch:
    """How long a loader is at a request already, by the looks of who watches it.

    The times of the loader itself would be a second number beside the first, and whoever looks between the two writes
    of the loader would see it at a request since ever.
    """

    def __init__(self) -> None:
        self._number = 0
        self._looked = 0.0
        self._seconds = 0.0

    def look(self, number: int) -> float:
        """The seconds between the first look that found this number and now; what a pause took is not counted."""
        now = time.monotonic()
        since, self._looked = now - self._looked, now
        self._seconds = self._seconds + min(since, _PAUSE) if number and number == self._number else 0.0
        self._number = number
        return self._seconds


def mark_behind(fd: int) -> Mark:
    """The mark that another process has created."""
    return Mark(SharedMemory(fd, _SIZE))
