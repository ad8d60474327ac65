"""What a shard cost: seconds per step and counts of events, added up over threads."""

import collections
import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

Element = TypeVar("Element")


class Tally:
    """Seconds and events of one shard. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._durations: dict[str, list[float]] = collections.defaultdict(list)
        self._events: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def timing(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            with self._lock:
                self._durations[step].append(elapsed)

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
            return {step: round(sum(durations), 4) for step, durations in self._durations.items()}

    def durations(self, step: str) -> list[float]:
        """Seconds of each time that the step was taken, in no order."""
        with self._lock:
            return list(self._durations[step])

    def drain(self) -> tuple[dict[str, list[float]], dict[str, int]]:
        """The durations of each step and the events so far, which are forgotten here; for :meth:`add` elsewhere."""
        with self._lock:
            drained = dict(self._durations), dict(self._events)
            self._durations.clear()
            self._events.clear()
            return drained

    def add(self, durations: Mapping[str, list[float]], events: Mapping[str, int]) -> None:
        """What another tally has drained."""
        with self._lock:
            for step, some in durations.items():
                self._durations[step] += some
            self._events.update(events)

    def events(self) -> dict[str, int]:
        with self._lock:
            return dict(self._events)
