import threading
import time

import pytest

from transforms.concurrency import WritesBehind


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
