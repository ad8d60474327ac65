"""Where metrics go: a file that appears in one step, or a push gateway."""

import dataclasses
import logging
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from pipeline.metrics.text import RunState, metrics_text
from transforms.errors import UserError

_log = logging.getLogger("beam-gradcam")
INTERVAL = 15.0  # seconds between two writes, at least
_TIMEOUT = 10.0  # seconds for a push gateway
_JOB = "/metrics/job/beam_gradcam"


class MetricsRefused(UserError):
    """Metrics cannot be written where the user asked for. The message says what can be done."""


@dataclasses.dataclass
class MetricsTarget:
    """A file or a URL. A write that fails once the run has begun is said, and does not stop the run."""

    place: str
    written: float = float("-inf")  # by the monotonic clock

    def show(self, state: RunState) -> None:
        """Write ``state``, unless the last write was just now and the run goes on."""
        if state.exit_code is None and time.monotonic() - self.written < INTERVAL:
            return
        try:
            self.write(state)
        except MetricsRefused as error:
            _log.warning("%s", error)

    def write(self, state: RunState) -> None:
        """Raises MetricsRefused where it cannot be written."""
        content = metrics_text(state, time.time()).encode()
        try:
            _push(self.place, content) if _is_url(self.place) else _replace(Path(self.place), content)
        except (OSError, ValueError) as error:
            raise MetricsRefused(f"--metrics {self.place}: {error}; write a file of a folder that is there, or the "
                                 "URL of a push gateway such as http://gateway:9091") from None  # fmt: skip
        self.written = time.monotonic()


def open_target(place: str, state: RunState) -> MetricsTarget:
    """A target that has taken the first metrics.

    Raises:
        MetricsRefused: it does not take them.
    """
    target = MetricsTarget(place)
    target.write(state)
    return target


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _replace(path: Path, content: bytes) -> None:
    """In one step: whoever reads sees the old or the new. A collector passes over names without .prom at their end."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    os.replace(beside, path)


def _push(url: str, content: bytes) -> None:
    """PUT: what the gateway had of the job is gone. A URL without a path is that of the gateway."""
    base, separator, rest = url.partition("://")
    if "/" not in rest.rstrip("/"):
        url = f"{base}{separator}{rest.rstrip('/')}{_JOB}"
    request = urllib.request.Request(
        url, content, {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        answer.read(1024)
