"""Stop early where nothing works: a wrong bucket or broken weights should not cost a night."""

import re
import threading

import pyarrow as pa

from transforms.records import Status


class TooManyFailures(RuntimeError):
    """Image after image has failed since the worker started."""


class FailureStreak:
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


def too_many_failures(error: BaseException) -> TooManyFailures | None:
    """What a worker said, out of the error that the runner made of it: its type is lost on the way, its text is not."""
    found = re.search(r"nothing but failures: .*?run\.max_failures", str(error), re.DOTALL)
    return TooManyFailures(found[0]) if found else None
