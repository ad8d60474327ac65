import threading
import time

import pytest

from transforms import patience
from transforms.patience import Call, StuckError, map_patiently
from transforms.records import Stage


def mapped(function, elements, threads=2, depth=4, seconds=0.3):
    return list(map_patiently(function, elements, threads, depth, seconds, lambda call: f"gave up {call.element}"))


@pytest.fixture
def forever():
    """What hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_it_is_map_in_the_order_of_the_elements():
    def square(call: Call) -> int:
        call.enter(Stage.FETCH)
        time.sleep(0.01 * (call.element % 3))
        return call.element**2

    assert mapped(square, range(40)) == [number**2 for number in range(40)]
    assert mapped(square, []) == []


def test_never_more_than_depth_elements_ahead_of_the_consumer():
    seen = []

    def elements():
        for number in range(20):
            seen.append(number)
            yield number

    results = map_patiently(lambda call: call.element, elements(), 2, 5, 1.0, lambda call: -1)
    assert next(results) == 0
    assert len(seen) == 5
    results.close()


def test_more_hanging_calls_than_threads_cost_a_result_each_and_no_other(forever):
    def work(call: Call) -> int:
        call.enter(Stage.DECODE)
        if call.element % 3 == 0:
            forever.wait()
        return call.element

    start = time.monotonic()
    expected = [f"gave up {n}" if n % 3 == 0 else n for n in range(12)]
    assert mapped(work, range(12)) == expected
    assert time.monotonic() - start < 4 * 0.3 + 1  # four hang, at most one after the other


def test_each_stage_has_the_whole_time():
    def work(call: Call) -> str:
        for stage in (Stage.FETCH, Stage.DECODE):
            call.enter(stage)
            time.sleep(0.25)
        return "done"

    assert mapped(work, [1], seconds=0.4) == ["done"]
    stages = []

    def slow_decode(call: Call) -> str:
        call.enter(Stage.FETCH)
        call.enter(Stage.DECODE)
        time.sleep(0.6)
        return "late"

    results = map_patiently(slow_decode, [1], 1, 1, 0.2, lambda call: stages.append(call.stage))
    assert list(results) == [None]
    assert stages == [Stage.DECODE]


def test_an_error_of_the_function_is_raised_to_the_consumer_also_when_it_is_a_timeout():
    def work(call: Call) -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        mapped(work, [1, 2, 3])


def test_a_consumer_that_stops_leaves_no_thread_behind():
    others = set(threading.enumerate())
    results = map_patiently(lambda call: call.element, range(100), 4, 8, 1.0, lambda call: -1)
    assert [next(results), next(results)] == [0, 1]
    results.close()
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - others and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - others


def test_when_everything_hangs_the_job_stops(forever, monkeypatch):
    monkeypatch.setattr(patience, "_MOST_LEFT_BEHIND", 3)
    monkeypatch.setattr(patience, "_left_behind", set())

    def work(call: Call) -> None:
        call.enter(Stage.FETCH)
        forever.wait()

    with pytest.raises(StuckError, match="3 images hang"):
        mapped(work, range(10), seconds=0.1)
