"""Shards in turn: while one ends, the next begins, so that neither the model nor the decoders wait at a seam."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

from transforms.records import ImageRef

Element = TypeVar("Element")
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


class _Call(Generic[Result]):
    """A shard in a thread of its own."""

    def __init__(self, work: Callable[[Turn], Result]):
        self._turn = Turn()
        self._result: Future[Result] = Future()
        threading.Thread(target=self._run, args=(work,), daemon=True, name="shard").start()

    def _run(self, work: Callable[[Turn], Result]) -> None:
        try:
            result = work(self._turn)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._result.set_exception(error)
        else:
            self._result.set_result(result)
        finally:
            self._turn.end()

    def wait_for_turn(self) -> None:
        """Until all images are on their way; raises what the shard has failed with by then."""
        self._turn.wait()
        if self._result.done():
            self._result.result()

    def result(self) -> Result:
        return self._result.result()

    def drop(self) -> None:
        """End it where it has not ended, and wait until it has."""
        self._turn.drop()
        self._result.exception()


def in_turn(function: Callable[[Element, Turn], Result], elements: Iterable[Element]) -> Iterator[Result]:
    """``function(element, turn)`` of each, two at a time at most, each in a thread of its own; results in order.

    One begins when the one before has asked for its last image. When this generator ends, early or not, nothing runs.
    """
    calls: list[_Call[Result]] = []
    try:
        for element in elements:
            if calls:
                calls[-1].wait_for_turn()
            calls.append(_Call(lambda turn, element=element: function(element, turn)))  # type: ignore[misc]
            if len(calls) > 1:
                yield calls[0].result()
                del calls[0]
        for call in calls:
            yield call.result()
    finally:
        for call in calls:
            call.drop()
