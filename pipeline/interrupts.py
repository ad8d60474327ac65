"""Ctrl-C and SIGTERM: the first ends the run in order, a second one at once."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

from pipeline.exit_codes import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AT_ONCE = b"a second signal: ending at once, whatever is still waited for\n"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within: SIGTERM interrupts as Ctrl-C does, and a second signal of either kind ends the process with 130.

    A shell that starts a command with ``&`` lets it ignore SIGINT; such a process still ends at SIGTERM, and does not
    learn to mind SIGINT here. The second signal needs nothing of the main thread, which may be stuck in the kernel.
    """
    minded = [number for number in _SIGNALS if number != signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
    seen: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            _end_at_once()
        # Beam's threads run into the end of the process; what they say of it, with a traceback, tells the user nothing.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in minded}
    end, ours = socket.socketpair()
    ours.setblocking(False)
    wakeup = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_count, args=(end, frozenset(minded)), daemon=True, name="signals").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        ours.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _count(end: socket.socket, minded: frozenset[int]) -> None:
    """Read the numbers of signals as they arrive: the interpreter's own C code writes them."""
    seen = 0
    with end:
        while numbers := end.recv(64):
            seen += sum(number in minded for number in numbers)
            if seen > 1:
                _end_at_once()


def _end_at_once() -> None:
    with contextlib.suppress(OSError):  # nobody may be left to read it
        os.write(2, _AT_ONCE)
    os._exit(ExitCode.INTERRUPTED)
