"""With this folder on its path, a Python whose decoder dies of pictures that say so at their end; see dying_photos."""

import ctypes
import os
import signal
import sys
import threading

from transforms.images import decode

MARK = b"\nDIE OF "


def _all_memory() -> None:
    held = []
    while True:
        held.append(bytearray(1 << 26))


def _kill(number: int) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait()


DEATHS = {
    "SIGSEGV": lambda: ctypes.string_at(0),
    "SIGABRT": os.abort,
    "SIGKILL": lambda: _kill(signal.SIGKILL),
    "memory": _all_memory,
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(4),
    "hang": lambda: threading.Event().wait(),
    "hang with the lock": lambda: ctypes.PyDLL(None).pause(),  # nothing else of Python runs
}
_decode_image = decode.decode_image


def _dying(encoded, *arguments, **more):
    _, found, cause = encoded.rpartition(MARK)
    if found:
        DEATHS[cause.decode()]()
    return _decode_image(encoded, *arguments, **more)


decode.decode_image = _dying
