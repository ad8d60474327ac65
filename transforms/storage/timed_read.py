"""Some bytes of a remote file within a time, whatever kind of file system of fsspec it lies in."""

import asyncio
import concurrent.futures
import threading
from typing import Any

from fsspec.asyn import AsyncFileSystem, sync

from transforms.storage.retries import http_status

_RANGE_NOT_SATISFIABLE = 416  # what object stores say to the first bytes of an empty object


def read_range(filesystem: Any, path: str, start: int, end: int, seconds: float) -> bytes:
    """The bytes from ``start`` to ``end`` in one request, or TimeoutError after ``seconds``."""
    if isinstance(filesystem, AsyncFileSystem):
        return sync(filesystem.loop, _read_async, filesystem, path, start, end, seconds)
    # Nothing can interrupt a synchronous client; a thread that hangs is left behind.
    outcome: concurrent.futures.Future[bytes] = concurrent.futures.Future()

    def work() -> None:
        try:
            outcome.set_result(_read_sync(filesystem, path, start, end))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True, name=f"fetch {path}").start()
    return outcome.result(seconds)


def _read_sync(filesystem: Any, path: str, start: int, end: int) -> bytes:
    try:
        return filesystem.cat_file(path, start=start, end=end)
    except Exception as error:
        if http_status(error) == _RANGE_NOT_SATISFIABLE and not start and filesystem.size(path) == 0:
            return b""
        raise


async def _read_async(filesystem: Any, path: str, start: int, end: int, seconds: float) -> bytes:
    async with asyncio.timeout(seconds):
        try:
            return await filesystem._cat_file(path, start=start, end=end)
        except Exception as error:
            if (
                http_status(error) == _RANGE_NOT_SATISFIABLE
                and not start
                and (await filesystem._info(path))["size"] == 0
            ):
                return b""
            raise
