"""Shards in turn: while one ends, the next begins, so that neither the model nor the decoders wait at a seam."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

from transforms.records import ImageRef

Result = TypeVar("Result")


class _Dropped(Exception):
    """Nobody waits for the shard any more."""


class Turn:
    """Says when all images of a shard are on their way, and ends it early where another has failed."""

    def __init__(self) -> None:
        self._is_on_its_way = threading.Event()
        self._is_dropped = False

    def passing(self, refs: Iterable[ImageRef]) -> Iterator[ImageRef]:
        """The same references, as whoever loads them asks for them."""
        for ref in refs:
            if self._is_dropped:
                raise _Dropped
            yield ref
        self.end()

    def end(self) -> None:
        self._is_on_its_way.set()

    def wait(self) -> None:
        """Until the next shard may begin."""
        self._is_on_its_way.wait()

    def drop(self) -> None:
        self._is_dropped = True


class Turns(Generic[Result]):
    """At most two calls at a time, each in a thread of its own.

    The second begins when the first has asked for its last image. Results come in the order of the calls. After an
    error nothing runs any more.
    """

    def __init__(self) -> None:
        self._turn = Turn()
        self._running: Future[Result] | None = None

    def take(self, work: Callable[[Turn], Result] | None) -> Iterator[Result]:
        """Begin ``work`` when it is its turn; then the result of the call before, where there was one.

        Args:
            work: None: there is no further call.
        """
        before, turn = self._running, self._turn
        self._running = None
        if before is not None:
            turn.wait()
            if before.done() and before.exception() is not None:
                before.result()
        if work is not None:
            self._turn = Turn()
            self._running = _started(work, self._turn)
        if before is None:
            return
        try:
            result = before.result()
        except BaseException:
            self.drop()
            raise
        yield result

    def drop(self) -> None:
        """End what runs, and wait until it has ended."""
        running, self._running = self._running, None
        if running is not None:
            self._turn.drop()
            running.exception()


def _started(work: Callable[[Turn], Result], turn: Turn) -> "Future[Result]":
    future: Future[Result] = Future()

    def run() -> None:
        try:
            result = work(turn)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            turn.end()

    threading.Thread(target=run, daemon=True, name="shard").start()
    return future
