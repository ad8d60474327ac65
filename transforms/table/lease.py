"""The lease on the rows of one model in one output: who holds it, and may therefore commit."""

import dataclasses
import json

from transforms.storage import Storage
from transforms.table.location import TableLocation


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
    """Who holds the lease; None where nobody does."""
    try:
        return LeaseHolder(**json.loads(storage.read(table.lease)))
    except FileNotFoundError:
        return None


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
