"""How many loader processes a worker process has."""

import dataclasses
import os

from transforms.machine import available_cpus, visible_gpus

SMALL_JOB = 1000
"""Images. Fewer are explained in threads: loaders start in about a second each, which so few do not give back."""

_MOST = 16
_CORES_OF_A_LOADER = 4  # where the model computes on the CPU: it takes several times what a decode and an overlay take


@dataclasses.dataclass(frozen=True)
class LoaderCount:
    """What the launcher knows; the worker process, which knows its machine, says the number."""

    chosen: int | None = 0  # None: as many as there are cores that the model does not need
    workers: int = 1  # worker processes that share the machine

    def here(self) -> int:
        """The number of loaders for this process; 0: it decodes in threads."""
        if self.chosen is not None:
            return self.chosen
        return spare_cores(available_cpus() // self.workers, len(visible_gpus(os.environ)))


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


def spare_cores(cpus: int, gpus: int) -> int:
    """Cores that the model leaves: all but one where a GPU computes, else one of four; at least one.

    On two cores that both compute, a loader of its own costs nothing: measured 1.0 to 1.1 times the images per second.
    """
    return min(max(cpus - 1 if gpus else cpus // _CORES_OF_A_LOADER, 1), _MOST)
