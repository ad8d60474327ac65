"""Writes behind their producers, in threads, bounded."""

import collections
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class WritesBehind:
    """``put(uri, content)`` in threads: who calls goes on while up to ``depth`` files are on their way. Thread-safe.

    A context: its end waits for the last file. What a ``put`` raises is raised to a later caller, or at that end; after
    an error, of whatever kind, files that have not begun their way are dropped.
    """

    def __init__(self, put: Callable[[str, bytes], None], threads: int, depth: int):
        self._put = put
        self._depth = depth
        self._threads = ThreadPoolExecutor(threads, "write")
        self._pending: collections.deque[Future[None]] = collections.deque()

    def __call__(self, uri: str, content: bytes) -> None:
        self._pending.append(self._threads.submit(self._put, uri, content))
        if len(self._pending) > self._depth:
            self._pending.popleft().result()

    def __enter__(self) -> "WritesBehind":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            while self._pending and kind is None:
                self._pending.popleft().result()
        finally:
            self._threads.shutdown(cancel_futures=True)
