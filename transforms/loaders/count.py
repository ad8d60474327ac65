"""How many loader processes a worker process has."""

import dataclasses
import os

from transforms.machine import available_cpus, visible_gpus

SMALL_JOB = 1000
"""Images. Fewer are explained in threads: loaders start in about a second each, which so few do not give back."""

_MOST = 16


@dataclasses.dataclass(frozen=True)
class LoaderCount:
    """What the launcher knows; the worker process, which knows its machine, says the number."""

    chosen: int | None = 0  # None: as many as there are cores for
    workers: int = 1  # worker processes that share the machine

    def here(self) -> int:
        """The number of loaders for this process; 0: it decodes in threads."""
        if self.chosen is not None:
            return self.chosen
        return loaders_for(available_cpus() // self.workers, len(visible_gpus(os.environ)))


def automatic_count(images: int, goes_on: bool, workers: int) -> LoaderCount:
    """The rule of ``run.loaders: auto``.

    Args:
        images: of the job.
        goes_on: an earlier launch of this run did not come to its end: an image may have ended it, so the next one
            that does so is to be a row.
    """
    if images < SMALL_JOB and not goes_on:
        return LoaderCount(0)
    return LoaderCount(None, workers)


def loaders_for(cpus: int, gpus: int) -> int:
    """All cores but one where a GPU computes; else half of them, or both of two.

    Loaders whose images are not wanted yet wait, so they take nothing from a model that computes on the same cores.
    Measured on two cores, images per second of two loaders over one: 1.0 to 1.03 with photos of 109 kB, 1.07 to 1.14
    with larger ones.
    """
    return min(max(cpus - 1 if gpus else max(cpus // 2, min(cpus, 2)), 1), _MOST)
