"""The lease as workers see it: who may commit rows of a model to an output."""

import json

from transforms.storage.storage import Storage
from transforms.table.location import TableLocation


class LeaseLostError(RuntimeError):
    """The launcher of this job no longer holds the lease: another may be at work, so nothing may be committed."""


def check_lease(table: TableLocation, storage: Storage) -> None:
    """Raises LeaseLostError where the launcher of this job is not the one that may write."""
    if table.token is None:
        return
    try:
        token = json.loads(storage.read(table.lease_uri))["token"]
    except FileNotFoundError:
        raise LeaseLostError(
            f"{table.lease_uri} has gone: the launcher has ended, or the output was removed during the run; "
            "nothing more is written"
        ) from None
    if token != table.token:
        raise LeaseLostError(f"{table.lease_uri} belongs to another launcher now; this job writes nothing more")
