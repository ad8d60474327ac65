"""Launchers that can be killed: the real command line, forked from a process that has imported everything once.

A request on standard input, a JSON object a line, is answered with a number on standard output: one with ``start``
and ``log`` with the process id, one with ``wait`` with the exit status, negative for signals. ``gate`` is one that the
batches of the fake model have to pass, ``delay`` the seconds that each takes, ``limit`` a bound on the size of files;
``background`` starts it as a shell does with an ``&``, so that it does not hear Ctrl-C.
"""

import contextlib
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fakes import CARD, FakeModel
from gate import Gate, load_gated


class SlowModel(FakeModel):
    def __init__(self, delay: float):
        self.delay = delay

    def explain(self, images, targets):
        time.sleep(self.delay)
        return super().explain(images, targets)


def load_slow_model(delay: float, *_) -> SlowModel:
    return SlowModel(delay)


class Launchers:
    """The test's end of the line."""

    def __init__(self, folder: Path):
        paths = (Path(__file__).parents[2], Path(__file__).parent)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
        self._folder = folder
        self._at_work: set[int] = set()
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(
        self, *arguments: str, gate: Gate | None = None, delay: float = 0, limit: int | None = None,
        background: bool = False,
    ) -> int:  # fmt: skip
        """Start ``beam-gradcam`` with arguments; its output goes to ``log``."""
        pid = self._ask(
            start=arguments, log=str(self._folder / "log"), gate=gate and str(gate.folder), delay=delay, limit=limit,
            background=background,
        )  # fmt: skip
        self._at_work.add(pid)
        return pid

    def wait(self, pid: int) -> int:
        code = self._ask(wait=pid)
        self._at_work.remove(pid)
        return code

    def run(self, *arguments: str, **how) -> int:
        return self.wait(self.start(*arguments, **how))

    @property
    def log(self) -> str:
        """What the last launcher said."""
        return (self._folder / "log").read_text()

    def close(self) -> None:
        while self._at_work:  # of a test that failed
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._at_work.pop(), signal.SIGKILL)
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def _ask(self, **request) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        try:
            print(json.dumps(request), file=self._server.stdin, flush=True)
            return int(self._server.stdout.readline())
        except BaseException:
            self.close()  # else the answer to this would be taken for that to the next request
            raise


@contextlib.contextmanager
def launchers(folder: Path) -> Iterator[Launchers]:
    server = Launchers(folder)
    try:
        yield server
    finally:
        server.close()


def _serve() -> None:
    from launcher import load_slow_model as load  # by its module: workers cannot import from __main__

    import pipeline.cli
    import pipeline.job
    import pipeline.launch.run  # what takes seconds, before the forks

    # A shell that started the tests in the background has it ignored, and what is forked here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _answer(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]))
            continue
        pid = os.fork()
        if pid:
            _answer(pid)
            continue
        os.setsid()
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        if request["background"]:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if request["limit"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], request["limit"]))
        load = functools.partial(load, request["delay"])
        if request["gate"]:
            load = functools.partial(load_gated, Gate(Path(request["gate"])), load)
        pipeline.job.compile_model = lambda *_, **__: CARD
        pipeline.job.check_pixels = lambda *_: None  # there is no model to load
        pipeline.job.load_compiled = load
        sys.argv = ["beam-gradcam", *request["start"]]
        pipeline.cli.main()


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
