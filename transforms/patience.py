"""A call that need not be waited for: in a thread that is left behind where it takes too long."""

import collections
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from transforms.concurrency import Result, come_back, leave_behind

_Jobs = queue.SimpleQueue[tuple[Callable[[], Any], "Future[Any]"]]

# Threads wait for the next call: each of fsspec's file systems, with its connections, belongs to a thread.
_idle: collections.deque[tuple[threading.Thread, _Jobs]] = collections.deque()
os.register_at_fork(after_in_child=_idle.clear)  # threads stay behind in the parent


def call_patiently(function: Callable[[], Result], seconds: float) -> Result:
    """``function()`` in another thread; who waits can be interrupted, whatever that thread is stuck in.

    Raises:
        TimeoutError: it takes more than ``seconds``.
        StuckError: so many calls of this process hang that the machine or the storage must be stuck.
        BaseException: whatever the function raises.
    """
    try:
        thread, jobs = _idle.pop()
    except IndexError:
        jobs = queue.SimpleQueue()
        thread = threading.Thread(target=_serve, args=(jobs,), daemon=True, name="patience")
        thread.start()
    answer: Future[Result] = Future()
    jobs.put((function, answer))
    if not wait([answer], seconds).done:
        leave_behind(thread)
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return answer.result()


def _serve(jobs: _Jobs) -> None:
    while True:
        function, answer = jobs.get()
        result, error = None, None
        try:
            result = function()
        except BaseException as raised:  # noqa: BLE001 - raised in the thread that waits
            error = raised
        come_back(threading.current_thread())
        _idle.append((threading.current_thread(), jobs))  # first: who has the answer finds this thread free
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)
        del function, answer, result, error  # nothing is kept alive until the next call
