"""Work in threads, bounded: ahead of its consumer, with an end to patience, and behind its producer."""

import collections
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, InvalidStateError, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, TypeVar

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


_MOST_LEFT_BEHIND = 256  # threads; each keeps its memory, and perhaps a core, until the process ends
_left_behind: set[threading.Thread] = set()


class StuckError(RuntimeError):
    """So many calls hang that something is wrong with the machine or the storage, not with the elements."""


class _Call(Generic[Element, Result]):
    """One element on its way."""

    def __init__(self, element: Element):
        self.element = element
        self.future: Future[Result] = Future()
        self.thread: threading.Thread | None = None
        self._began: float | None = None

    def begin(self) -> None:
        self.thread, self._began = threading.current_thread(), time.monotonic()

    def remaining(self, seconds: float) -> float:
        """What is left of the time of the call; all of it before a thread takes it."""
        return seconds if self._began is None else max(self._began + seconds - time.monotonic(), 0.0)


def map_patiently(
    function: Callable[[Element], Result],
    elements: Iterable[Element],
    threads: int,
    depth: int,
    seconds: float,
    give_up: Callable[[Element], Result],
    at_hand: Callable[[Element], Result | None] = lambda _: None,
) -> Generator[Result]:
    """``map`` in threads, in order, with up to ``depth`` elements under way or finished ahead of the consumer.

    Where ``at_hand(element)`` has the result already, no thread is asked: a change of threads costs more than the call.

    A call that takes more than ``seconds`` ends as ``give_up(element)``. Its thread cannot be stopped: it is left
    behind and another takes its place, so neither the other elements nor the end of the process wait for it.

    Raises:
        StuckError: 256 threads of this process have been left behind and hang still.
    """
    waiting: queue.SimpleQueue[_Call[Element, Result] | None] = queue.SimpleQueue()
    pending: collections.deque[_Call[Element, Result]] = collections.deque()

    def start_thread() -> None:
        # Daemons: those of a ThreadPoolExecutor are joined at exit, hanging or not.
        threading.Thread(target=_work, args=(function, waiting), daemon=True, name="load").start()

    def next_result() -> Result:
        call = pending.popleft()
        while not (call.future.done() or wait([call.future], call.remaining(seconds)).done):
            if not call.remaining(seconds) and call.future.cancel():
                leave_behind(call.thread)
                start_thread()
                return give_up(call.element)
        return call.future.result()

    for _ in range(threads):
        start_thread()
    try:
        for element in elements:
            call = _Call[Element, Result](element)
            pending.append(call)
            result = at_hand(element)
            if result is None:
                waiting.put(call)
            else:
                call.future.set_result(result)
            if len(pending) >= depth:
                yield next_result()
        while pending:
            yield next_result()
    finally:
        for call in pending:
            call.future.cancel()
        for _ in range(threads):
            waiting.put(None)


def _work(function: Callable[[Element], Result], waiting: "queue.SimpleQueue[_Call | None]") -> None:
    while (call := waiting.get()) is not None:
        if call.future.cancelled():  # nobody waits for it any more
            continue
        call.begin()
        try:
            try:
                result = function(call.element)
            except Exception as error:  # noqa: BLE001 - raised in the thread that waits
                call.future.set_exception(error)
            else:
                call.future.set_result(result)
        except InvalidStateError:  # given up meanwhile: another thread has this one's place
            return


def come_back(thread: threading.Thread) -> None:
    """What hung has ended after all."""
    _left_behind.discard(thread)


def leave_behind(thread: threading.Thread | None) -> None:
    """Wait no longer for what a thread does.

    Raises:
        StuckError: 256 threads of this process have been left behind and hang still.
    """
    for freed in [other for other in _left_behind if not other.is_alive()]:
        _left_behind.discard(freed)
    if thread is not None:
        _left_behind.add(thread)
    if len(_left_behind) >= _MOST_LEFT_BEHIND:
        raise StuckError(
            f"{len(_left_behind)} images hang in this process at the same time: the storage or a decoder is stuck; "
            "look at the mount, then run the same command again"
        )


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
