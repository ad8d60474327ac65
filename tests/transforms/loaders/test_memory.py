"""Memory without a name, messages that do not fit at once, loaders that cannot start."""

import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from dying_photos import write_photos
from shards import explain

from transforms.loaders import LoaderPool, LoadersFailed, process
from transforms.loaders.channel import LoaderEnd, WorkerEnd, pickled
from transforms.loaders.limits import memory_of
from transforms.loaders.mark import Mark, Stopwatch, mark_behind
from transforms.loaders.memory import SharedMemory
from transforms.loaders.ring import Ring, slots_of


def no_memfd(*_):
    raise OSError(38, "Function not implemented")


def test_where_there_is_no_shared_memory_a_file_without_a_name_stands_in_and_it_is_said(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(os, "memfd_create", no_memfd)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        memory = SharedMemory.create(1 << 20)
    assert f"no shared memory ([Errno 38] Function not implemented): 1 MB of model inputs lie in a file without a name in {tmp_path}" in caplog.text  # fmt: skip  # noqa: E501
    other = SharedMemory(os.dup(memory.fd), 1 << 20)
    memory.buffer[5:9] = b"here"
    assert other.buffer[5:9] == b"here"
    assert list(tmp_path.iterdir()) == []
    memory.close()
    other.close()


def test_a_shard_goes_through_a_file_as_well(monkeypatch, tmp_path):
    refs = write_photos(tmp_path / "photos", 12, {})
    expected, _ = explain(refs, tmp_path)
    monkeypatch.setattr(os, "memfd_create", no_memfd)
    pool = LoaderPool(1)
    try:
        assert explain(refs, tmp_path, pool=pool)[0] == expected
    finally:
        pool.close()


def test_a_full_folder_of_temporary_files_is_an_error_and_no_signal_later(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "memfd_create", no_memfd)
    monkeypatch.setattr(os, "posix_fallocate", full)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No space left on device"):
        SharedMemory.create(1 << 20)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_slot_is_one_image_s_until_it_is_given_back_and_both_sides_see_the_same():
    ring = Ring(3, (2, 4, 3), np.dtype(np.uint16))
    taken = [ring.take(wait=False) for _ in range(4)]
    assert sorted(taken[:3]) == [0, 1, 2]
    assert taken[3] is None
    theirs = slots_of(SharedMemory(os.dup(ring.memory.fd), ring.memory.size), (2, 4, 3), np.dtype(np.uint16))
    assert theirs.shape == (3, 2, 4, 3)
    theirs[1] = 65535
    assert ring.slots[1].min() == 65535
    assert ring.slots[0].max() == ring.slots[2].max() == 0
    waiting = threading.Thread(target=lambda: taken.append(ring.take(wait=True)))
    waiting.start()
    ring.give_back(2)
    waiting.join()
    assert taken[-1] == 2
    ring.close()


def test_a_mark_is_seen_by_the_other_process():
    mark = Mark.create()
    theirs = mark_behind(os.dup(mark.fd))
    assert mark.read() == 0
    theirs.begin(1 << 40)
    assert mark.read() == 1 << 40
    theirs.end()
    assert mark.read() == 0


def test_a_loader_is_never_seen_at_a_request_since_ever_while_it_goes_from_one_to_the_next():
    """Its number and its times side by side were read between two writes, and a healthy loader was killed."""
    mark, watch = Mark.create(), Stopwatch()
    work = (
        "import itertools, sys; from transforms.loaders.mark import mark_behind; mark = mark_behind(int(sys.argv[1]))\n"
        "for number in itertools.count(1 << 40): mark.begin(number); mark.end()"
    )
    loader = subprocess.Popen([sys.executable, "-c", work, str(mark.fd)], pass_fds=(mark.fd,))
    try:
        while not mark.read():
            assert loader.poll() is None
        seen: dict[int, float] = {}  # number: the most seconds
        while len(seen) < 100:  # it is at work meanwhile
            for number in (mark.read() for _ in range(10_000)):
                seen[number] = max(seen.get(number, 0.0), watch.look(number))
    finally:
        loader.kill()
        loader.wait()
    assert {number for number in seen if 0 < number < 1 << 40} == set()  # never half a number
    assert max(seen.values()) < 5  # that of a loader which the machine had no time for


def test_the_patience_with_a_request_begins_anew_with_each_and_does_not_count_a_pause_of_the_watch(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("transforms.loaders.mark.time.monotonic", lambda: now[0])
    watch = Stopwatch()

    def after(seconds, number):
        now[0] += seconds
        return watch.look(number)

    assert after(0, 5) == 0
    assert after(0.25, 5) == 0.25
    assert after(0.5, 5) == 0.75
    assert after(0.25, 6) == 0  # the next
    assert after(3600, 6) == 1  # stopped by Ctrl-Z and continued an hour later
    assert after(0.5, 6) == 1.5
    assert after(0.25, 0) == 0  # at nothing
    assert after(0.25, 0) == 0


def test_messages_that_are_larger_than_the_connection_holds_go_in_pieces_and_nobody_waits():
    ours, theirs = socket.socketpair()
    worker, loader = WorkerEnd(ours), LoaderEnd(theirs)
    memory = SharedMemory.create(10)
    memory.buffer[:4] = b"here"
    messages = [os.urandom(3 << 20), "small", os.urandom(1 << 20)]
    for message in messages:
        worker.push(pickled(message), memory.fd)  # nobody reads: whatever does not fit is kept
    received = []

    def read() -> None:
        for _ in messages:
            received.append(loader.receive())
            fd = loader.receive_fd()
            received.append(SharedMemory(fd, 10).buffer[:4])

    reading = threading.Thread(target=read)
    reading.start()
    while not worker.flush():
        pass
    reading.join()
    assert received == [part for message in messages for part in (message, b"here")]


def test_small_messages_go_together_and_each_descriptor_stays_behind_its_own():
    ours, theirs = socket.socketpair()
    worker, loader = WorkerEnd(ours), LoaderEnd(theirs)
    memories = [SharedMemory.create(4) for _ in range(2)]
    for memory, content in zip(memories, (b"one.", b"two."), strict=True):
        memory.buffer[:] = content
    for message, memory in [("a", None), ("b", memories[0]), ("c", None), ("d", None), ("e", memories[1]), ("f", None)]:
        worker.post(pickled(message), None if memory is None else memory.fd)
    assert worker.flush()
    received = []
    for _ in range(6):
        received.append(loader.receive())
        if received[-1] in "be":
            received.append(bytes(SharedMemory(loader.receive_fd(), 4).buffer))
    assert received == ["a", "b", b"one.", "c", "d", "e", b"two.", "f"]

    worker.post(pickled("g" * 10))
    worker.post(pickled("h"))
    assert worker.flush()
    assert theirs.recv(1 << 16, socket.MSG_PEEK).count(b"g" * 10) == 1
    assert [loader.receive(), loader.receive()] == ["g" * 10, "h"]
    worker.close()
    with pytest.raises(EOFError):
        loader.receive()


def test_what_waits_to_be_sent_is_not_copied_again_and_again():
    """Encoded photos of a tar wait here by the tens of megabytes while a loader is at work."""
    ours, theirs = socket.socketpair()
    worker, loader = WorkerEnd(ours), LoaderEnd(theirs)
    content = os.urandom(1 << 18)
    tracemalloc.start()
    for number in range(100):
        worker.push(pickled((number, content)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1.2 * 100 * len(content)
    reading = threading.Thread(target=lambda: received.extend(loader.receive() for _ in range(100)))
    received: list[tuple[int, bytes]] = []
    reading.start()
    while not worker.flush():
        pass
    reading.join()
    assert received == [(number, content) for number in range(100)]


def test_what_a_loader_says_is_put_together_and_its_end_is_noticed():
    ours, theirs = socket.socketpair()
    worker, loader = WorkerEnd(ours), LoaderEnd(theirs)
    messages = [os.urandom(1 << 20), "small", ("a", 1)]
    sending = threading.Thread(target=lambda: ([loader.send(message) for message in messages], theirs.close()))
    sending.start()
    heard = []
    while len(heard) < 3:
        heard += worker.hear()
    sending.join()
    with pytest.raises(EOFError):
        list(worker.hear())
    assert heard == messages


def test_loaders_that_cannot_start_end_the_shard_with_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "_MODULE", "transforms.loaders.no_such_module")
    pool = LoaderPool(2)
    try:
        with pytest.raises(
            LoadersFailed, match=r"end before they have begun: the last ended with exit code 1; run\.loaders: 0"
        ):
            explain(write_photos(tmp_path / "photos", 3, {}), tmp_path, pool=pool)
    finally:
        pool.close()


def test_closed_pools_leave_no_descriptors(tmp_path):
    refs = write_photos(tmp_path / "photos", 6, {})

    def once() -> None:
        pool = LoaderPool(1)
        explain(refs, tmp_path, pool=pool)
        pool.close()

    def descriptors() -> int:
        gc.collect()  # what tests before have left: a mapping goes with its last array
        return len(os.listdir("/proc/self/fd"))

    once()
    before = descriptors()
    once()
    assert descriptors() == before


def test_the_memory_of_a_loader_holds_the_largest_picture_that_is_let_through():
    from transforms.explain.settings import ExplainSettings
    from transforms.images import Limits
    from transforms.overlays import OverlaySettings
    from transforms.table import TableLocation, statistics_schema

    settings = ExplainSettings(
        TableLocation("out", "r1", "f"), statistics_schema(), overlays=OverlaySettings(max_side=100),
        limits=Limits(max_bytes=10, max_pixels=1000),
    )  # fmt: skip
    assert memory_of(settings, photos=2) == 9 * 1000 + 4 * 10 + 2 * 3 * 200**2
