"""What a piece of code touches: files, processes, sockets and libraries, through Python or past it (Linux)."""

import contextlib
import ctypes
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_EVENTS = tuple(
    """
    subprocess. os.system os.exec os.posix_spawn os.fork os.spawn pty. socket. urllib. http. ctypes.dlopen pickle.
    os.remove os.rename os.rmdir os.chmod os.link os.symlink shutil. webbrowser. function.__new__ code.__new__
    """.split()  # noqa: SIM905
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Where our loader, and autograph, put what they make.
_OURS = ("beam-gradcam-", "__autograph_generated_file")
_active: list[tuple[str, list[str]]] = []  # the folder that is watched, and what was seen
_hooked = False

_INOTIFY_ALL = 0xFFF  # of a folder's files: opened, read, written, made, renamed, removed


@contextlib.contextmanager
def watching(canary: Path) -> Iterator[list[str]]:
    """While active, list what is touched: by Python's audit events, and by the kernel for the folder ``canary``."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True
    seen: list[str] = []
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(canary), _INOTIFY_ALL) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    _active.append((str(canary), seen))
    try:
        yield seen
    finally:
        _active.pop()
        seen.extend(f"{canary.name}/{name}" for name in _notified(descriptor))
        os.close(descriptor)


def _notified(descriptor: int) -> Iterator[str]:
    with contextlib.suppress(BlockingIOError):
        while events := os.read(descriptor, 1 << 16):
            while events:
                _, _, _, length = struct.unpack_from("iIII", events)
                yield events[16 : 16 + length].rstrip(b"\0").decode() or "."
                events = events[16 + length :]


def _audit(event: str, arguments: tuple) -> None:
    if not _active:
        return
    canary, seen = _active[-1]
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, str | bytes) and _is_touched(os.fsdecode(path), mode, flags, canary):
            seen.append(f"open {os.fsdecode(path)} {mode}")
    elif event.startswith(_EVENTS) and not any(our in _described(arguments) for our in _OURS):
        seen.append(f"{event} {arguments!r}"[:200])


def _described(arguments: tuple) -> str:
    """The arguments, with the path of a file that is named relative to an open folder (by shutil.rmtree)."""
    folders = [f"/proc/self/fd/{argument}" for argument in arguments if isinstance(argument, int) and argument > 2]
    return f"{arguments!r} {[os.readlink(folder) for folder in folders if os.path.islink(folder)]}"


def _is_touched(path: str, mode: str | None, flags: int, canary: str) -> bool:
    if path.startswith(canary):
        return True
    writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & _WRITES)
    temporary = path.startswith(tempfile.gettempdir()) and any(our in path for our in _OURS)
    return writes and not temporary and path != os.devnull
