"""Calls ahead of their consumer that may hang, and writes behind their producers."""

import concurrent.futures
import threading

import pytest
from waiting import wait_until

from transforms import concurrency
from transforms.concurrency import StuckError, WritesBehind, map_patiently

LONG = 60.0  # seconds that no call takes, on however busy a machine


def mapped(function, elements, threads=2, depth=4, seconds=LONG):
    return list(map_patiently(function, elements, threads, depth, seconds, lambda element: f"gave up {element}"))


@pytest.fixture
def forever():
    """What hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


class Clock:
    """The time of the module under test: it passes where a call says so, one call at a time."""

    def __init__(self):
        self.now = 0.0
        self.waits = 0

    def monotonic(self) -> float:
        return self.now

    def wait(self, futures, seconds: float):
        """``concurrent.futures.wait`` by this clock."""
        end = self.now + seconds
        self.waits += 1
        wait_until(lambda: futures[0].done() or self.now >= end)
        return concurrent.futures.wait(futures, 0)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(concurrency, "time", clock)
    monkeypatch.setattr(concurrency, "wait", clock.wait)
    return clock


def test_it_is_map_in_the_order_of_the_elements():
    ended, events = [], [threading.Event() for _ in range(40)]

    def square(number: int) -> int:
        if number % 2 == 0:
            assert events[number + 1].wait(LONG)
        ended.append(number)
        events[number].set()
        return number**2

    assert mapped(square, range(40)) == [number**2 for number in range(40)]
    assert ended[:2] == [1, 0]
    assert mapped(square, []) == []


def test_never_more_than_depth_elements_ahead_of_the_consumer():
    seen = []

    def elements():
        for number in range(20):
            seen.append(number)
            yield number

    results = map_patiently(lambda number: number, elements(), 2, 5, LONG, lambda number: -1)
    assert next(results) == 0
    assert len(seen) == 5
    results.close()


def test_more_hanging_calls_than_threads_cost_a_result_each_and_no_other(clock, forever):
    def work(number: int) -> int:
        if number % 3 == 0:
            clock.now += 2
            forever.wait()
        return number

    expected = [f"gave up {n}" if n % 3 == 0 else n for n in range(12)]
    assert mapped(work, range(12), threads=1, seconds=2) == expected
    assert clock.now == 4 * 2  # four hang, one after the other


def test_waiting_for_a_thread_is_not_of_the_time_of_a_call(clock):
    def work(number: int) -> int:
        wait_until(lambda: clock.waits > number)  # the consumer waits for this call
        clock.now += 2
        return number

    assert mapped(work, range(4), threads=1, depth=4, seconds=3) == [0, 1, 2, 3]


def test_of_two_in_a_row_each_has_the_whole_time_and_the_second_goes_on_when_a_call_of_the_first_hangs(clock, forever):
    def first(number: int) -> int:
        clock.now += 2
        if number == 1:
            clock.now += 1
            forever.wait()
        return number

    def second(number: int | None) -> str:
        clock.now += 2
        return f"{number} twice"

    firsts = map_patiently(first, range(3), 1, 1, 3, lambda number: None)  # nothing ahead: one call at a time
    assert list(map_patiently(second, firsts, 1, 1, 3, lambda number: "late")) == ["0 twice", "None twice", "2 twice"]


def test_an_error_of_the_function_is_raised_to_the_consumer_also_when_it_is_a_timeout():
    def work(number: int) -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        mapped(work, [1, 2, 3])


def test_a_consumer_that_stops_leaves_no_thread_behind():
    others = set(threading.enumerate())
    results = map_patiently(lambda number: number, range(100), 4, 8, LONG, lambda number: -1)
    assert [next(results), next(results)] == [0, 1]
    results.close()
    wait_until(lambda: not set(threading.enumerate()) - others)


def test_when_everything_hangs_the_job_stops(forever, monkeypatch):
    monkeypatch.setattr(concurrency, "_MOST_LEFT_BEHIND", 3)
    monkeypatch.setattr(concurrency, "_left_behind", set())

    def work(number: int) -> None:
        forever.wait()

    with pytest.raises(StuckError, match="3 images hang"):
        mapped(work, range(10), seconds=0.1)


def test_all_files_are_written_when_the_context_ends_by_several_threads_at_a_time():
    written, together = {}, threading.Barrier(4, timeout=LONG)

    def put(uri: str, content: bytes) -> None:
        together.wait()
        written[uri] = content

    with WritesBehind(put, threads=4, depth=8) as write:
        for i in range(12):
            write(f"file{i}", bytes([i]))
    assert written == {f"file{i}": bytes([i]) for i in range(12)}


def test_a_caller_waits_while_too_many_are_on_their_way():
    permits, written, ahead = threading.Semaphore(0), [], []

    def put(uri: str, content: bytes) -> None:
        assert permits.acquire(timeout=LONG)
        written.append(uri)

    def call_again_and_again(write: WritesBehind) -> None:
        for i in range(6):
            write(str(i), b"")
            ahead.append(i + 1 - len(written))

    with WritesBehind(put, threads=1, depth=3) as write:
        caller = threading.Thread(target=call_again_and_again, args=(write,))
        caller.start()
        for calls in (3, 4, 5, 6):
            wait_until(lambda: len(ahead) >= calls)  # noqa: B023 - called in this turn
            assert len(ahead) == calls
            permits.release()
        caller.join(LONG)
        permits.release(3)
    assert len(written) == 6
    assert max(ahead) == 3


def test_an_error_is_raised_at_the_end_or_to_a_later_caller():
    def full_disk(uri: str, content: bytes) -> None:
        raise OSError(28, "No space left on device", uri)

    with pytest.raises(OSError, match="No space left on device: 'one'"), WritesBehind(full_disk, 2, 4) as write:
        write("one", b"")
    told = []
    with pytest.raises(OSError, match="No space left on device: 'one'"), WritesBehind(full_disk, 2, 1) as write:
        told += [write("one", b""), write("two", b"")]
    assert not told


def test_an_error_of_the_producer_is_the_one_that_is_raised_and_what_waits_is_dropped():
    written = []

    def put(uri: str, content: bytes) -> None:
        wait_until(lambda: behind._pending and behind._pending[-1].cancelled())
        written.append(uri)

    behind = WritesBehind(put, threads=1, depth=8)

    def produce() -> None:
        with behind as write:
            for i in range(5):
                write(str(i), b"")
            raise ValueError("of the producer")

    with pytest.raises(ValueError, match="of the producer"):
        produce()
    assert len(written) < 2  # one may have begun its way
