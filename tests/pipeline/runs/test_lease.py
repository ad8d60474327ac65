import contextlib
import dataclasses
import os
import subprocess
import threading
import time

import pytest
from waiting import wait_until

from pipeline.runs.lease import Lease, LeaseTaken, is_alive
from transforms.storage.storage import Storage
from transforms.table.lease import LeaseHolder, LeaseLostError, check_lease, read_holder
from transforms.table.lease import write_holder as store_holder
from transforms.table.location import TableLocation

STORAGE = Storage()
BEAT = 0.1


class Clock:
    """What a lease sleeps takes no time; a heart beats in real time."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return time.time()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("pipeline.runs.lease.time", clock)
    return clock


def table(folder, token: str) -> TableLocation:
    return TableLocation(str(folder), f"run-{token}", "fake", token=token)


def holder_of(table: TableLocation) -> LeaseHolder:
    holder = read_holder(table, STORAGE)
    assert holder is not None
    return holder


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    return tmp_path if request.param == "local" else f"memory://{tmp_path.name}"


def test_one_at_a_time_and_free_again_at_the_end(folder):
    first, second = table(folder, "a"), table(folder, "b")
    with Lease(first, STORAGE, BEAT):
        check_lease(first, STORAGE)
        with pytest.raises(LeaseLostError, match="belongs to another launcher"):
            check_lease(second, STORAGE)
        with pytest.raises(LeaseTaken, match=f"run run-a of the same model .* by process {os.getpid()} on "):
            Lease(second, STORAGE, BEAT).__enter__()
        assert holder_of(first).token == "a"
    assert not STORAGE.exists(first.lease)
    with pytest.raises(LeaseLostError, match="has gone"):
        check_lease(first, STORAGE)
    with Lease(second, STORAGE, BEAT):
        check_lease(second, STORAGE)
    check_lease(dataclasses.replace(first, token=None), STORAGE)  # a job without a launcher asks nobody


def write_holder(table: TableLocation, **facts) -> None:
    Lease(table, STORAGE, BEAT)._write()
    store_holder(dataclasses.replace(holder_of(table), **facts), table, STORAGE)


def test_on_the_same_machine_a_process_that_has_ended_is_dead_at_once(tmp_path, clock):
    ended = subprocess.Popen(["true"])
    ended.wait()
    old, new = table(tmp_path, "a"), table(tmp_path, "b")
    write_holder(old, pid=ended.pid)
    assert not is_alive(holder_of(old))
    with Lease(new, STORAGE):
        assert holder_of(new).token == "b"
    assert clock.now < 1  # no heartbeat was waited for


def test_a_later_process_with_the_same_number_is_another_one(tmp_path):
    old = table(tmp_path, "a")
    write_holder(old, pid=os.getpid(), process_start="1")
    assert not is_alive(holder_of(old))
    with Lease(table(tmp_path, "b"), STORAGE):
        pass


def test_on_another_machine_only_a_heartbeat_that_stands_still_is_dead(tmp_path):
    old, new = table(tmp_path, "a"), table(tmp_path, "b")
    write_holder(old, machine="elsewhere", seen=time.time())
    with pytest.raises(LeaseTaken):
        Lease(new, STORAGE, 15).__enter__()
    write_holder(old, machine="elsewhere", seen=time.time() - 100)
    with Lease(new, STORAGE, BEAT):
        assert holder_of(new).token == "b"


def test_a_launcher_elsewhere_whose_clock_is_wrong_is_alive_while_its_heart_beats(tmp_path):
    old, new = table(tmp_path, "a"), table(tmp_path, "b")
    write_holder(old, machine="elsewhere", seen=time.time() - 100)
    taking = Lease(new, STORAGE, BEAT)
    holders = [holder_of(old), dataclasses.replace(holder_of(old), seen=time.time() - 99.9)]
    taking._read = lambda: holders.pop(0)  # the second look sees another beat
    with pytest.raises(LeaseTaken):
        taking.__enter__()


def test_who_loses_the_lease_stops_and_leaves_it_to_the_other(tmp_path):
    old, new = table(tmp_path, "a"), table(tmp_path, "b")
    with Lease(old, STORAGE, BEAT) as lease:
        lease.check()
        with pytest.raises(LeaseLostError, match="another launcher has taken over: run run-b"):
            wait_until(lambda: write_holder(new) or lease.check())  # more than once: its heart beats too
    assert holder_of(new).token == "b"


def test_the_heart_beats_and_an_output_that_vanishes_is_noticed(tmp_path):
    own = table(tmp_path, "a")

    def vanish() -> None:
        with contextlib.suppress(FileNotFoundError):
            STORAGE.remove(own.lease)

    with Lease(own, STORAGE, BEAT) as lease:
        seen = holder_of(own).seen
        wait_until(lambda: holder_of(own).seen > seen)
        with pytest.raises(LeaseLostError, match="the output was removed during the run"):
            wait_until(lambda: vanish() or lease.check())  # more than once: a beat may have begun
    assert not STORAGE.exists(own.lease)


@dataclasses.dataclass(frozen=True)
class SlowStorage(Storage):
    """Takes 40 seconds to read anything."""

    clock: Clock | None = None

    def open(self, uri):
        self.clock.sleep(40)
        return super().open(uri)


def test_a_slow_start_is_no_silence(tmp_path, clock):
    with Lease(table(tmp_path, "a"), SlowStorage(clock=clock)) as lease:
        assert clock.now > 80
        lease.check()
        clock.sleep(40)
        with pytest.raises(LeaseLostError, match="could not be written for 80 seconds"):
            lease.check()


@dataclasses.dataclass(frozen=True)
class TardyStorage(Storage):
    """Its second write begins and is not done before a file is removed, if only that is not long in coming."""

    writes: list = dataclasses.field(default_factory=list)
    second: threading.Event = dataclasses.field(default_factory=threading.Event)
    removed: threading.Event = dataclasses.field(default_factory=threading.Event)

    def put(self, uri, content, durable=True):
        self.writes.append(uri)
        if len(self.writes) == 2:
            self.second.set()
            self.removed.wait(0.3)
        super().put(uri, content, durable)

    def remove(self, uri):
        super().remove(uri)
        self.removed.set()


def test_a_beat_at_the_end_does_not_bring_the_lease_back(tmp_path):
    own, storage = table(tmp_path, "a"), TardyStorage()
    before = set(threading.enumerate())
    with Lease(own, storage, BEAT):
        assert storage.second.wait(60)
    wait_until(lambda: not set(threading.enumerate()) - before)
    assert not STORAGE.exists(own.lease)
