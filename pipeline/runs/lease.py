"""One launcher at a time for the rows of one model in one output: a lease with a heartbeat, on any store.

Two launchers at once would both find the same images without rows and explain them both. A lease is a small file; the
launcher that wrote it last holds it. Workers look at it before they commit a part, so what a launcher leaves running
when it dies adds nothing once another has taken over.
"""

import datetime
import logging
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from transforms.storage import NotAnsweringError, StateError, Storage, is_local
from transforms.table import LeaseHolder, LeaseLostError, TableLocation, read_holder, write_holder

_log = logging.getLogger("beam-gradcam")
_BEAT = 15.0  # seconds between heartbeats
_DEAD_AFTER = 4  # beats without a sign
_SETTLE_LOCAL, _SETTLE_REMOTE = 0.2, 1.5  # seconds in which another launcher that started just now shows itself


class LeaseTaken(RuntimeError):
    """Another launcher is at work. The message says which and where."""


class Lease:
    """The right to add rows to a table, for as long as the ``with`` block lasts.

    Raises:
        LeaseTaken: on entering, while another launcher is alive. One on this machine counts as dead when its process is
            gone; one elsewhere when its heartbeat is older than a minute and does not move while this one watches.
    """

    def __init__(self, table: TableLocation, storage: Storage, beat: float = _BEAT):
        if table.token is None:
            raise ValueError("a lease needs a table with a token")
        self._table = table
        self._token = table.token
        self._storage = storage
        self._beat = beat
        self._lost: str | None = None
        self._trouble: Exception | None = None
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._last_beat = 0.0

    def __enter__(self) -> Self:
        other = self._read()
        if other is not None and not self._is_dead(other):
            raise LeaseTaken(_describe(other))
        self._write()
        time.sleep(_SETTLE_LOCAL if is_local(self._table.lease) else _SETTLE_REMOTE)
        holder = self._read()
        if holder is None or holder.token != self._table.token:
            raise LeaseTaken(_describe(holder) if holder else f"{self._table.lease} vanished as it was written")
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._heart.join()  # else a beat that has begun would write the lease again
        try:
            holder = self._read()
        except (StateError, NotAnsweringError) as trouble:  # what ended the block is what must be said
            _log.warning("the lease stays behind, and clears itself within a minute: %s", trouble)
            return
        if holder is not None and holder.token == self._table.token:
            self._storage.remove(self._table.lease)

    def check(self) -> None:
        """Raises LeaseLostError where this launcher must stop."""
        silence = time.monotonic() - self._last_beat
        if self._lost is None and silence > _DEAD_AFTER * self._beat:
            self._lost = f"{self._table.lease} could not be written for {silence:.0f} seconds: {self._trouble}"
        if self._lost is not None:
            raise LeaseLostError(self._lost)

    def _keep(self) -> None:
        while not self._ended.wait(self._beat):
            try:
                holder = self._read()
                if holder is None:
                    self._lost = f"{self._table.lease} has gone: the output was removed during the run"
                elif holder.token != self._table.token:
                    self._lost = f"another launcher has taken over: {_describe(holder)}"
                if self._lost is not None:
                    return
                self._write()
            except Exception as error:  # noqa: BLE001 - the next beat may succeed; check() tells when none did for long
                self._trouble = error

    def _is_dead(self, other: LeaseHolder) -> bool:
        if other.machine == _machine():
            return _process_start(other.pid) != other.process_start
        age = abs(time.time() - other.seen)
        if age < _DEAD_AFTER * self._beat:
            return False
        time.sleep(2 * self._beat)  # its clock may differ from ours: only a heartbeat that stands still is dead
        again = self._read()
        return again is None or again == other

    def _read(self) -> LeaseHolder | None:
        return read_holder(self._table, self._storage)

    def _write(self) -> None:
        holder = LeaseHolder(
            token=self._token,
            run_id=self._table.run_id,
            host=socket.gethostname(),
            machine=_machine(),
            pid=os.getpid(),
            process_start=_process_start(os.getpid()),
            seen=time.time(),
        )
        write_holder(holder, self._table, self._storage)
        self._last_beat = time.monotonic()


def is_alive(holder: LeaseHolder) -> bool:
    """Whether a launcher is at work, as far as its lease tells at a glance."""
    if holder.machine == _machine():
        return _process_start(holder.pid) == holder.process_start
    return abs(time.time() - holder.seen) < _DEAD_AFTER * _BEAT


def _describe(holder: LeaseHolder) -> str:
    seen = datetime.datetime.fromtimestamp(holder.seen, datetime.UTC).isoformat(timespec="seconds")
    return (
        f"run {holder.run_id} of the same model is being written to this output by process {holder.pid} on "
        f"{holder.host}, seen {seen}; wait for its end, stop it, or choose another output.path. If it is dead, this "
        f"clears itself within {_DEAD_AFTER * _BEAT:.0f} seconds"
    )


def _machine() -> str:
    """The host, its boot and the namespace of its process numbers: where all are the same, process numbers mean the
    same. Containers may share a host name without sharing processes."""
    facts = [socket.gethostname()]
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists():
        facts += [boot.read_text().strip(), os.readlink(namespace)]
    return " ".join(facts)


def _process_start(pid: int) -> str | None:
    """A text that tells a process from a later one with the same number; None where there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if facts[0] in "ZX" else facts[19]  # a zombie is dead; clock ticks since boot
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"
