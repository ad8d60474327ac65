import os
import threading
import time

import pytest

from transforms import concurrency, patience
from transforms.patience import call_patiently


def test_results_and_errors_come_back():
    assert call_patiently(lambda: 7, 5) == 7
    with pytest.raises(KeyError, match="why"):
        call_patiently(lambda: {}["why"], 5)


def test_a_thread_that_has_answered_is_taken_again():
    """fsspec keeps a file system, with its connections, for each thread."""
    threads = {call_patiently(threading.get_ident, 5) for _ in range(20)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_call_that_hangs_is_left_behind_and_taken_back_when_it_ends(monkeypatch):
    monkeypatch.setattr(concurrency, "_left_behind", set())
    stuck = threading.Event()
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 seconds"):
        call_patiently(stuck.wait, 0.1)
    assert time.monotonic() - start < 5
    assert len(concurrency._left_behind) == 1
    assert call_patiently(lambda: 1, 5) == 1  # another thread
    stuck.set()
    deadline = time.monotonic() + 5
    while concurrency._left_behind and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not concurrency._left_behind


def test_many_at_a_time():
    answers: list[int] = []
    callers = [
        threading.Thread(target=lambda n=number: answers.append(call_patiently(lambda: n * n, 5)))
        for number in range(50)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(answers) == [number * number for number in range(50)]


def test_a_child_process_does_not_wait_for_threads_of_its_parent():
    assert call_patiently(lambda: 1, 5) == 1
    assert patience._idle
    child = os.fork()
    if child == 0:
        os._exit(call_patiently(lambda: 3, 5))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
