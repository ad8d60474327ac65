"""How far a run is, read from the parts that have appeared: so it works on every runner."""

import dataclasses
import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from transforms.records import Status
from transforms.storage import Storage
from transforms.table import PartFooter, TableLocation, list_parts, read_footer

_PLAIN_INTERVAL = 30.0  # seconds between lines where there is no terminal


class PartWatch:
    """The parts that a run has committed, without those that were there ``before``."""

    def __init__(self, table: TableLocation, before: Iterable[str], storage: Storage):
        self._folder = table.run.statistics
        self._storage = storage
        self._before = set(before)
        self.footers: dict[str, PartFooter] = {}  # of the parts seen so far, by URI

    def look(self) -> "Progressed":
        """Read the footers of parts that are new since the last look."""
        for uri in list_parts(self._folder, self._storage):
            if uri not in self._before and uri not in self.footers:
                self.footers[uri] = read_footer(uri, self._storage)
        return Progressed.of(list(self.footers.values()))


@dataclasses.dataclass(frozen=True)
class Progressed:
    """What a run has done since its watch began."""

    parts: int
    images: int
    rows: int
    statuses: dict[str, int]  # images per status
    seconds: dict[str, float]
    events: dict[str, int]

    @classmethod
    def of(cls, footers: list[PartFooter]) -> "Progressed":
        statuses, seconds, events = Counter[str](), Counter[str](), Counter[str]()
        for footer in footers:
            statuses.update(footer.statuses)
            seconds.update(footer.seconds)
            events.update(footer.events)
        return cls(
            parts=len(footers),
            images=sum(footer.images for footer in footers),
            rows=sum(footer.rows for footer in footers),
            statuses=dict(statuses),
            seconds={step: round(float(value), 3) for step, value in seconds.items()},
            events=dict(events),
        )

    @property
    def failures(self) -> int:
        return sum(count for status, count in self.statuses.items() if Status(status).is_failure)


class ProgressDisplay:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, images: int):
        self._console = console
        self._images = images
        self._start = self._said = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            columns = (TextColumn("explaining"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
                       TimeRemainingColumn(), TextColumn("{task.fields[failures]}"))  # fmt: skip
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=self._images, speed="", failures="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progressed: Progressed) -> None:
        now = time.monotonic()
        speed = f"{progressed.images / max(now - self._start, 1e-3):.1f} images/s" if progressed.images else ""
        failures = f"{progressed.failures:,} failed" if progressed.failures else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=progressed.images, speed=speed, failures=failures)
        elif now - self._said >= _PLAIN_INTERVAL:
            self._said = now
            parts = (f"{progressed.images:,} of {self._images:,} images", speed, failures)
            self._console.print(", ".join(part for part in parts if part))
