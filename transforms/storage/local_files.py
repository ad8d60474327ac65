"""Local files: read without ever hanging, written in one step."""

import errno
import glob
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from transforms.storage.access import check_bytes
from transforms.storage.content import digest_of_bytes, digest_of_files
from transforms.storage.uris import absolute, local_path

_TEMPORARY = ".beam-gradcam-"


class LocalFiles:
    """The files of this machine, by URI. What each method does is said by the one of the same name in Storage."""

    def fetch(self, uri: str, max_bytes: int, seconds: float) -> bytes:
        return _read_regular(local_path(uri), max_bytes)

    def fetch_range(self, uri: str, start: int, end: int) -> bytes:
        """Some bytes of a regular file; fewer where it ends before."""
        path = local_path(uri)
        with open(path, "rb", buffering=0) as file:
            file.seek(start)
            content = file.read(end - start)
            while len(content) < end - start and (more := file.read(end - start - len(content))):
                content += more
        return content

    def read(self, uri: str) -> bytes:
        return Path(local_path(uri)).read_bytes()

    def open(self, uri: str) -> IO[bytes]:
        return open(local_path(uri), "rb")

    def put(self, uri: str, content: bytes, durable: bool) -> None:
        _replace(local_path(uri), content, durable)

    def remove(self, uri: str) -> None:
        Path(local_path(uri)).unlink(missing_ok=True)

    def exists(self, uri: str) -> bool:
        return os.path.exists(local_path(uri))

    def is_directory(self, uri: str) -> bool:
        return os.path.isdir(local_path(uri))

    def walk(self, uri: str, follow_links: bool) -> Iterator[str]:
        yield from _walk(local_path(uri), follow_links, ())

    def glob(self, pattern: str) -> list[str]:
        return sorted(path for path in glob.glob(local_path(pattern), recursive=True) if not os.path.isdir(path))

    def size(self, uri: str) -> int:
        return os.path.getsize(local_path(uri))

    def version(self, uri: str) -> str:
        status = os.stat(local_path(uri))
        return f"{status.st_size}-{status.st_mtime_ns}"

    def digest(self, uri: str) -> str:
        root = absolute(uri)
        paths = sorted(_all_files(root)) if os.path.isdir(root) else [root]
        return digest_of_files((path.removeprefix(root), _digest(path)) for path in paths)

    def to_local(self, uri: str, target: Path) -> Path:
        path = Path(absolute(uri))
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return path

    def sweep(self, uri: str, older_than: float) -> int:
        count = 0
        for parent, _, names in os.walk(local_path(uri)):
            for name in names:
                path = os.path.join(parent, name)
                if name.startswith(_TEMPORARY) and time.time() - os.stat(path).st_mtime > older_than:
                    os.unlink(path)
                    count += 1
        return count


def _read_regular(path: str, max_bytes: int) -> bytes:
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


def _replace(path: str, content: bytes, durable: bool) -> None:
    """Write a file in one step."""
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


def _all_files(folder: str) -> Iterator[str]:
    """The paths of all files below a folder, hidden ones too. A link to a folder is taken for an unreadable file."""
    for parent, folders, names in os.walk(folder):
        for name in [*names, *(name for name in folders if os.path.islink(os.path.join(parent, name)))]:
            yield os.path.join(parent, name)


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return digest_of_bytes(file)


def _walk(folder: str, follow_links: bool, above: tuple[str, ...]) -> Iterator[str]:
    """The files of a folder by name, then those of its folders; ``above`` are the real paths of those it lies in."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir(follow_symlinks=follow_links)]
    for entry in entries:
        if not entry.is_dir():
            yield entry.path
    here = (*above, os.path.realpath(folder)) if follow_links else above
    for entry in folders:
        if not (follow_links and entry.is_symlink() and os.path.realpath(entry.path) in here):
            yield from _walk(entry.path, follow_links, here)
