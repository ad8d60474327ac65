"""One loader process, as the worker process that started it sees it."""

import os
import signal
import socket
import subprocess
import sys
from typing import Any

from transforms.loaders.channel import WorkerEnd, pickled
from transforms.loaders.mark import Mark, Stopwatch
from transforms.loaders.requests import Request

_MODULE = "transforms.loaders.main"
_GRACE = 2.0  # seconds that a loader has to end by itself
# Pictures are what the cores are kept busy with, one for each loader: threads within would only wait for each other.
_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


class LoaderProcess:
    """A fresh interpreter, never a fork: what TensorFlow's threads hold at a fork would be held for ever."""

    def __init__(self, fetchers: int):
        ours, theirs = socket.socketpair()
        self.channel = WorkerEnd(ours)
        self.mark = Mark.create()
        self.stopwatch = Stopwatch()
        self.requests: dict[int, Request] = {}  # that it has, by number
        self.loads = 0  # of these
        self.trying: Request | None = None  # the one that it has alone, because others died of it
        self.overdue: int | None = None  # the number of the request that it hangs in
        self.patience = 0.0  # seconds, the most of any request that it has had
        self.is_ready = False
        self.sessions: set[int] = set()
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        arguments = (theirs.fileno(), self.mark.fd, fetchers, os.getpid())
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the worker's own is for its outcome
                pass_fds=(theirs.fileno(), self.mark.fd),
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
            )
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Any, fd: int | None = None) -> None:
        self.channel.push(pickled(message), fd)

    def kill(self) -> int:
        """End it now, if it has not ended; returns its exit status, negative for a signal."""
        self._process.kill()
        return self._process.wait()

    def end(self) -> None:
        """Let it end by itself, as it does once the channel is closed."""
        self.channel.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
        self.close()

    def died(self) -> int:
        """Its exit status once the channel says that it is gone."""
        try:
            return self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:  # it lives but says nothing any more
            return self.kill()

    def close(self) -> None:
        self.channel.close()
        self.mark.close()


def cause_of_death(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name} ({signal.strsignal(-code)})"
