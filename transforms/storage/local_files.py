"""Local files: read without ever hanging, written in one step."""

import os
import secrets
import stat
import time
from collections.abc import Iterator

from transforms.storage.access import check_bytes

_TEMPORARY = ".beam-gradcam-"


def read(path: str, max_bytes: int) -> bytes:
    """The bytes of a regular file. Anything else could block for ever, or never end."""
    _check_regular(os.stat(path), path)
    # Should a FIFO take its place just now, opening it does not block.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        _check_regular(status, path)
        check_bytes(status.st_size, max_bytes)
        content = file.read(status.st_size + 1)
        while more := file.read(2**16):
            content += more
            check_bytes(len(content), max_bytes)
    return content


def _check_regular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"a directory, not a file: {path!r}")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"a FIFO, socket or device, not a regular file: {path!r}")


def replace(path: str, content: bytes, durable: bool) -> None:
    """Write a file in one step; see :meth:`transforms.storage.storage.Storage.put`."""
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        try:
            file = open(temporary, "xb")  # noqa: SIM115 - closed below, before the rename
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            file = open(temporary, "xb")  # noqa: SIM115
        with file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:  # a full disk: say where
            error.filename = path
        raise


def walk(folder: str) -> Iterator[str]:
    """The paths of all files below a folder, in order, without hidden ones; links to folders are not followed."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.join(parent, name)


def sweep(folder: str, older_than: float) -> int:
    """Remove temporary files below a folder that are older than so many seconds; returns how many there were."""
    count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if name.startswith(_TEMPORARY) and time.time() - os.stat(path).st_mtime > older_than:
                os.unlink(path)
                count += 1
    return count
