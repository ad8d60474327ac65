"""Model inputs in shared memory, a slot each: a loader writes one, the worker process reads it."""

import threading

import numpy as np

from transforms.loaders.memory import SharedMemory


def slots_of(memory: SharedMemory, shape: tuple[int, ...], pixel_type: np.dtype) -> np.ndarray:
    """The slots as one array ``[slots, *shape]``: the same memory, whichever process looks."""
    each = int(np.prod(shape)) * pixel_type.itemsize
    count = memory.size // each
    return np.frombuffer(memory.buffer, pixel_type, count * int(np.prod(shape))).reshape(count, *shape)


class Ring:
    """The worker's end: who takes a slot has it to itself until it is given back. Thread-safe."""

    def __init__(self, count: int, shape: tuple[int, ...], pixel_type: np.dtype):
        self.memory = SharedMemory.create(count * int(np.prod(shape)) * pixel_type.itemsize)
        self.slots = slots_of(self.memory, shape, pixel_type)
        self._free = list(range(count))
        self._changed = threading.Condition()

    def take(self, wait: bool) -> int | None:
        """A free slot; None where there is none and nobody waits for one."""
        with self._changed:
            while wait and not self._free:
                self._changed.wait()
            return self._free.pop() if self._free else None

    def give_back(self, slot: int) -> None:
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def close(self) -> None:
        self.slots = self.slots[:0]
        self.memory.close()
