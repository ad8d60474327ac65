"""The lease on the rows of one model in one output: who holds it, and may therefore commit."""

import dataclasses
import json
import math

from transforms.storage import Storage, decode_state, not_state, read_state
from transforms.table.location import TableLocation

_WHAT = "the lease of a launcher"
_REMEDY = "where no other launcher is at work on this output, remove it"
_LATEST = 1e11  # seconds since 1970: the year 5138


class LeaseLostError(RuntimeError):
    """Another launcher has taken over, or the output has gone: nothing more may be written."""


@dataclasses.dataclass(frozen=True)
class LeaseHolder:
    """A launcher at work, as its lease describes it."""

    token: str  # its own, made for this launch
    run_id: str
    host: str
    machine: str  # host, boot and process namespace: where all are the same, process numbers mean the same
    pid: int
    process_start: str | None  # tells the process from a later one with the same number
    seen: float  # its last heartbeat, seconds since 1970


def read_holder(table: TableLocation, storage: Storage) -> LeaseHolder | None:
    """Who holds the lease; None where nobody does.

    Raises:
        StateError: the file is no lease.
        NotAnsweringError: it does not answer.
    """
    try:
        holder = decode_state(LeaseHolder, read_state(table.lease, storage), table.lease, _WHAT, _REMEDY)
    except FileNotFoundError:
        return None
    if not (math.isfinite(holder.seen) and 0 <= holder.seen < _LATEST and 0 < holder.pid < 2**31):
        why = f"seen {holder.seen}, process {holder.pid}"
        raise not_state(table.lease, _WHAT, why, _REMEDY)
    return holder


def write_holder(holder: LeaseHolder, table: TableLocation, storage: Storage) -> None:
    storage.put(table.lease, json.dumps(dataclasses.asdict(holder)).encode())


def check_lease(table: TableLocation, storage: Storage) -> None:
    """Raises LeaseLostError where the launcher of this job is not the one that may write."""
    if table.token is None:
        return
    holder = read_holder(table, storage)
    if holder is None:
        raise LeaseLostError(
            f"{table.lease} has gone: the launcher has ended, or the output was removed during the run; "
            "nothing more is written"
        )
    if holder.token != table.token:
        raise LeaseLostError(f"{table.lease} belongs to another launcher now; this job writes nothing more")
