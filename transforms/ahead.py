"""Work ahead of the consumer, in threads, in order, bounded."""

import collections
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
