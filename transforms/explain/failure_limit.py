"""Stop early where nothing works: a wrong bucket or broken weights should not cost a night."""

import dataclasses
import json
import threading

import pyarrow as pa

from transforms.manifest import ManifestError
from transforms.records import Status
from transforms.storage import Storage
from transforms.table import TableLocation


class TooManyFailures(RuntimeError):
    """Image after image has failed since the worker started."""


class FailureLimit:
    """The images that have failed since a worker started, until the first that does not. Safe to use from many threads.

    Raises TooManyFailures from :meth:`see` at the ``limit``-th; 0 stands for no limit.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._count = 0
        self._is_over = limit == 0
        self._lock = threading.Lock()

    def see(self, rows: pa.Table) -> pa.Table:
        """Take note of finished rows, and pass them on."""
        if self._is_over:
            return rows
        with self._lock:
            self._is_over = not all(Status(status).is_failure for status in rows["status"].to_pylist())
            self._count += len(rows["image_id"].unique())
            if self._count >= self._limit and not self._is_over:
                last = rows.slice(rows.num_rows - 1).to_pylist()[0]
                raise TooManyFailures(
                    f"nothing but failures: the first {self._count} images of a worker all failed, the last with "
                    f"{last['status']}: {last['uri']}: {last['error_message'] or 'not finite'}; "
                    "mend the cause, or allow more with run.max_failures"
                )
        return rows


@dataclasses.dataclass(frozen=True)
class _Stop:
    """What a worker that stops leaves in the run, since the type of its error is lost on the way to the launcher."""

    message: str
    token: str | None  # of the launch that the worker belongs to
    part: str | None  # URI of the part that the worker was about; None where there was such a part already
    is_mistake: bool = False  # in the manifest, which only a worker has read to its end


def write_stop(stopped: TooManyFailures, shard_id: str, table: TableLocation, storage: Storage) -> None:
    """Write into the run why a worker stops at a shard, for :func:`why_stopped`. To be called before it does."""
    part = table.run.part(shard_id)
    stop = _Stop(storage.redact(str(stopped)), table.token, None if storage.exists(part) else part)
    storage.put(table.run.stopped, json.dumps(dataclasses.asdict(stop), indent=2).encode())


def write_mistake(error: ManifestError, table: TableLocation, storage: Storage) -> None:
    """Write into the run what is wrong with a line of the manifest, for :func:`why_stopped`."""
    stop = _Stop(storage.redact(str(error)), table.token, None, is_mistake=True)
    storage.put(table.run.stopped, json.dumps(dataclasses.asdict(stop), indent=2).encode())


def why_stopped(table: TableLocation, storage: Storage) -> TooManyFailures | ManifestError | None:
    """What a worker of this launch said when it stopped for good; None where none did.

    A worker of an earlier launch that is still there does not count, nor one whose shard has its part by now: there
    the runner has given the shard to another worker, and what ended the job came later.
    """
    try:
        stop = _Stop(**json.loads(storage.read(table.run.stopped)))
    except FileNotFoundError:
        return None
    if stop.token != table.token or (stop.part is not None and storage.exists(stop.part)):
        return None
    return ManifestError(stop.message) if stop.is_mistake else TooManyFailures(stop.message)
