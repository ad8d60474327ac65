"""Memory without a name, messages that do not fit at once, loaders that cannot start."""

import gc
import logging
import os
import socket
import threading

import numpy as np
import pytest
from dying_photos import write_photos
from shards import explain

from transforms.loaders import LoaderPool, LoadersFailed, process
from transforms.loaders.channel import LoaderEnd, WorkerEnd, pickled
from transforms.loaders.limits import memory_of
from transforms.loaders.mark import Mark, mark_behind
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
    assert mark.read() == (0, 0.0)
    theirs.begin(7)
    number, seconds = mark.read()
    assert number == 7
    assert 0 <= seconds < 60
    theirs.end()
    assert mark.read() == (0, 0.0)


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
