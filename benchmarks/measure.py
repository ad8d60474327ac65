"""Two ways of doing the same, timed in turn; ratios only, since absolute times on a shared machine mean little."""

import dataclasses
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Literal

Clock = Callable[[], float]
Work = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Target:
    """What a ratio must reach: ``at most`` or ``at least`` a value."""

    bound: Literal["at most", "at least"]
    value: float

    def is_met(self, ratio: float) -> bool:
        return ratio <= self.value if self.bound == "at most" else ratio >= self.value

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the table: ratios, one per round, and what their median must reach."""

    section: str
    what: str
    ratios: tuple[float, ...]
    target: Target | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        return self.target is None or self.target.is_met(self.median)

    def as_json(self) -> dict[str, object]:
        return dataclasses.asdict(self) | {
            "median": self.median,
            "low": min(self.ratios),
            "high": max(self.ratios),
            "met": self.is_met,
        }


def at_most(value: float) -> Target:
    return Target("at most", value)


def at_least(value: float) -> Target:
    return Target("at least", value)


def ratios(ours: Work, other: Work, rounds: int, clock: Clock = time.perf_counter) -> tuple[float, ...]:
    """Time of ``ours`` / time of ``other``, a ratio per round; which of the two comes first changes with the round.

    Each has run once before. With ``time.process_time`` as the clock it is the CPU time of all threads.
    """
    return ratios_of_seconds(lambda: seconds_of(ours, clock), lambda: seconds_of(other, clock), rounds)


def ratios_of_seconds(ours: Clock, other: Clock, rounds: int) -> tuple[float, ...]:
    """The same for two functions that say themselves how many seconds they took."""
    ours(), other()
    found = []
    for turn in range(rounds):
        if turn % 2:
            theirs = other()
            found.append(ours() / theirs)
        else:
            mine = ours()
            found.append(mine / other())
    return tuple(found)


def seconds_of(work: Work, clock: Clock = time.perf_counter) -> float:
    gc.collect()
    start = clock()
    work()
    return clock() - start


def several(work: Work, times: int) -> Work:
    """``work`` done some times over: single batches are too short to time."""

    def repeated() -> None:
        for _ in range(times):
            work()

    return repeated


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in RAM."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load_averages() -> Iterator[float]:
    """Of the machine: how many tasks wanted a core in the last 1, 5 and 15 minutes."""
    yield from os.getloadavg()
