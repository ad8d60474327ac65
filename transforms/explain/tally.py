"""What a shard cost: seconds per step and counts of events, added up over threads."""

import collections
import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Element = TypeVar("Element")


class Tally:
    """Seconds and events of one shard. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = collections.defaultdict(float)
        self._events: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def timing(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            with self._lock:
                self._seconds[step] += elapsed

    def waiting(self, step: str, elements: Iterable[Element]) -> Iterator[Element]:
        """The same elements; the time until each is there counts as ``step``."""
        iterator = iter(elements)
        while True:
            with self.timing(step):
                element = next(iterator, None)
            if element is None:
                return
            yield element

    def count(self, event: str, times: int = 1) -> None:
        with self._lock:
            self._events[event] += times

    def seconds(self) -> dict[str, float]:
        with self._lock:
            return {step: round(seconds, 4) for step, seconds in self._seconds.items()}

    def events(self) -> dict[str, int]:
        with self._lock:
            return dict(self._events)
