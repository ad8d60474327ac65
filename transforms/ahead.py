"""Work ahead of the consumer, in threads, in order, bounded."""

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Element = TypeVar("Element")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Element], Result], elements: Iterable[Element], executor: Executor, depth: int
) -> Iterator[Result]:
    """``map(function, elements)`` with up to ``depth`` calls under way or finished ahead of the consumer."""
    pending: collections.deque[Future[Result]] = collections.deque()
    try:
        for element in elements:
            pending.append(executor.submit(function, element))
            if len(pending) >= depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


class Stopwatch:
    """Seconds per step, added up over threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def timing(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            with self._lock:
                self._seconds[step] += elapsed  # type: ignore[assignment]

    def seconds(self) -> dict[str, float]:
        with self._lock:
            return {step: round(float(seconds), 4) for step, seconds in self._seconds.items()}
