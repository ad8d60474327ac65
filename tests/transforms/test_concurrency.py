"""Calls ahead of their consumer that may hang, and writes behind their producers."""

import threading
import time

import pytest

from transforms import concurrency
from transforms.concurrency import StuckError, WritesBehind, map_patiently


def mapped(function, elements, threads=2, depth=4, seconds=0.3):
    return list(map_patiently(function, elements, threads, depth, seconds, lambda element: f"gave up {element}"))


@pytest.fixture
def forever():
    """What hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_it_is_map_in_the_order_of_the_elements():
    def square(number: int) -> int:
        time.sleep(0.01 * (number % 3))
        return number**2

    assert mapped(square, range(40)) == [number**2 for number in range(40)]
    assert mapped(square, []) == []


def test_never_more_than_depth_elements_ahead_of_the_consumer():
    seen = []

    def elements():
        for number in range(20):
            seen.append(number)
            yield number

    results = map_patiently(lambda number: number, elements(), 2, 5, 1.0, lambda number: -1)
    assert next(results) == 0
    assert len(seen) == 5
    results.close()


def test_more_hanging_calls_than_threads_cost_a_result_each_and_no_other(forever):
    def work(number: int) -> int:
        if number % 3 == 0:
            forever.wait()
        return number

    start = time.monotonic()
    expected = [f"gave up {n}" if n % 3 == 0 else n for n in range(12)]
    assert mapped(work, range(12)) == expected
    assert time.monotonic() - start < 4 * 0.3 + 1  # four hang, at most one after the other


def test_waiting_for_a_thread_is_not_of_the_time_of_a_call():
    def work(number: int) -> int:
        time.sleep(0.25)
        return number

    assert mapped(work, range(4), threads=1, depth=4, seconds=0.4) == [0, 1, 2, 3]


def test_of_two_in_a_row_each_has_the_whole_time_and_the_second_goes_on_when_a_call_of_the_first_hangs(forever):
    def first(number: int) -> int:
        if number == 1:
            forever.wait()
        time.sleep(0.25)
        return number

    def second(number: int | None) -> str:
        time.sleep(0.25)
        return f"{number} twice"

    firsts = map_patiently(first, range(3), 2, 4, 0.4, lambda number: None)
    assert list(map_patiently(second, firsts, 2, 4, 0.4, lambda number: "late")) == ["0 twice", "None twice", "2 twice"]


def test_an_error_of_the_function_is_raised_to_the_consumer_also_when_it_is_a_timeout():
    def work(number: int) -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        mapped(work, [1, 2, 3])


def test_a_consumer_that_stops_leaves_no_thread_behind():
    others = set(threading.enumerate())
    results = map_patiently(lambda number: number, range(100), 4, 8, 1.0, lambda number: -1)
    assert [next(results), next(results)] == [0, 1]
    results.close()
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - others and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - others


def test_when_everything_hangs_the_job_stops(forever, monkeypatch):
    monkeypatch.setattr(concurrency, "_MOST_LEFT_BEHIND", 3)
    monkeypatch.setattr(concurrency, "_left_behind", set())

    def work(number: int) -> None:
        forever.wait()

    with pytest.raises(StuckError, match="3 images hang"):
        mapped(work, range(10), seconds=0.1)


def test_all_files_are_written_when_the_context_ends_by_several_threads_at_a_time():
    written, together = {}, threading.Barrier(4, timeout=10)

    def put(uri: str, content: bytes) -> None:
        together.wait()
        written[uri] = content

    with WritesBehind(put, threads=4, depth=8) as write:
        for i in range(12):
            write(f"file{i}", bytes([i]))
    assert written == {f"file{i}": bytes([i]) for i in range(12)}


def test_a_caller_waits_while_too_many_are_on_their_way():
    gate, calls = threading.Event(), []

    def call_again_and_again(write: WritesBehind) -> None:
        for i in range(6):
            write(str(i), b"")
            calls.append(i)

    with WritesBehind(lambda uri, content: gate.wait(10), threads=1, depth=3) as write:
        caller = threading.Thread(target=call_again_and_again, args=(write,))
        caller.start()
        time.sleep(0.2)
        assert calls == [0, 1, 2]
        gate.set()
        caller.join(10)
    assert calls == list(range(6))


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
    written, gate = [], threading.Event()

    def put(uri: str, content: bytes) -> None:
        gate.wait(10)
        written.append(uri)

    def produce() -> None:
        with WritesBehind(put, threads=1, depth=8) as write:
            for i in range(5):
                write(str(i), b"")
            gate.set()
            raise ValueError("of the producer")

    with pytest.raises(ValueError, match="of the producer"):
        produce()
    assert len(written) < 5
