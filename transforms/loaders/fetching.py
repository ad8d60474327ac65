"""Fetches in a loader: many at a time, since they mostly wait, and with an end to patience."""

import queue
import threading
import time
from collections.abc import Callable

from transforms.concurrency import come_back, leave_behind

_LOOK_SECONDS = 0.1

Then = Callable[[], None]


class _Fetch:
    """One fetch. Whoever settles it first, its thread or the watch, has the say on what comes of it."""

    def __init__(self, work: Callable[[], Then], give_up: Then, seconds: float):
        self.work = work
        self.give_up = give_up
        self.seconds = seconds
        self.began = 0.0
        self.thread: threading.Thread | None = None
        self._settled = threading.Lock()

    def settle(self) -> bool:
        return self._settled.acquire(blocking=False)


class Fetchers:
    """Threads that fetch. One that hangs is left behind, and another takes its place."""

    def __init__(self, threads: int, fail: Callable[[BaseException], None]):
        self._fail = fail  # told what is no fault of an image
        self._waiting: queue.SimpleQueue[_Fetch] = queue.SimpleQueue()
        self._running: set[_Fetch] = set()
        for _ in range(threads):
            self._start()
        threading.Thread(target=self._watch, daemon=True, name="patience").start()

    def submit(self, fetch: Callable[[], Then], give_up: Then, seconds: float) -> None:
        """``fetch()`` in a thread, then what it returns; or ``give_up()`` after so many seconds."""
        self._waiting.put(_Fetch(fetch, give_up, seconds))

    def _start(self) -> None:
        threading.Thread(target=self._work, daemon=True, name="fetch").start()

    def _work(self) -> None:
        while True:
            fetch = self._waiting.get()
            fetch.thread, fetch.began = threading.current_thread(), time.monotonic()
            self._running.add(fetch)
            try:
                then = fetch.work()
            finally:
                self._running.discard(fetch)
            if not fetch.settle():  # given up meanwhile: another thread has this one's place
                come_back(threading.current_thread())
                return
            then()

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            for fetch in list(self._running):
                if time.monotonic() - fetch.began > fetch.seconds and fetch.settle():
                    self._running.discard(fetch)
                    try:
                        leave_behind(fetch.thread)
                    except RuntimeError as stuck:  # StuckError
                        self._fail(stuck)
                        return
                    self._start()
                    fetch.give_up()
