import dataclasses
import os
import subprocess
import time

import pytest

from pipeline.runs.lease import Lease, LeaseTaken, is_alive
from transforms.storage.storage import Storage
from transforms.table.lease import LeaseHolder, LeaseLostError, check_lease, read_holder
from transforms.table.lease import write_holder as store_holder
from transforms.table.location import TableLocation

STORAGE = Storage()
BEAT = 0.1


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


def test_on_the_same_machine_a_process_that_has_ended_is_dead_at_once(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    old, new = table(tmp_path, "a"), table(tmp_path, "b")
    write_holder(old, pid=ended.pid)
    assert not is_alive(holder_of(old))
    start = time.monotonic()
    with Lease(new, STORAGE):
        assert holder_of(new).token == "b"
    assert time.monotonic() - start < 5


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
        write_holder(new)
        time.sleep(4 * BEAT)
        with pytest.raises(LeaseLostError, match="another launcher has taken over: run run-b"):
            lease.check()
    assert holder_of(new).token == "b"


def test_the_heart_beats_and_an_output_that_vanishes_is_noticed(tmp_path):
    own = table(tmp_path, "a")
    with Lease(own, STORAGE, BEAT) as lease:
        seen = holder_of(own).seen
        time.sleep(4 * BEAT)
        assert holder_of(own).seen > seen
        STORAGE.remove(own.lease)
        time.sleep(4 * BEAT)
        with pytest.raises(LeaseLostError, match="the output was removed during the run"):
            lease.check()
    assert not STORAGE.exists(own.lease)
