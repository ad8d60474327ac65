"""Sections 4 and 5: the whole job against its floor, and everything but the model against its steps alone."""

import functools
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.jobs import JobOfPhotos
from benchmarks.loaders import cpu_seconds, started
from benchmarks.measure import Finding, Work, at_least, at_most, ratios_of_seconds, seconds_of, several
from benchmarks.photos import Photos
from benchmarks.steps import Steps
from transforms.machine import available_cpus

_OF_FLOOR = 0.90
_OF_STEPS = 1.25
# Enough that what a job costs to begin with, a third of a second, does not count: that is section 7.
_IMAGES, _LARGE_IMAGES = 4096, 384


def whole_job(
    photos: Photos, folder: Path, rounds: int, images: int = _IMAGES, large: int = _LARGE_IMAGES
) -> Iterator[Finding]:
    """Section 4: images/s of the job with the bundled model over those of its floor.

    The floor: the forward pass of our own graph, and all other steps, each alone, dealt out to all cores.
    """
    from benchmarks.models import BUNDLED, timed_model

    model = timed_model(BUNDLED, photos.batch(32), folder / "models")
    for name, some in _samples(photos, folder / "whole", images, large):
        job = JobOfPhotos(some, folder / "whole" / f"{name} job")
        steps = Steps(some, folder / "whole" / f"{name} steps")
        forward = several(model.run_graph, len(some.paths) // 32)

        def floor(steps: Steps = steps, forward: Work = forward) -> float:
            return steps.seconds() / available_cpus() + seconds_of(forward)

        with started(job.loaders):
            _begin(photos, folder / "whole" / f"{name} first")
            found = ratios_of_seconds(floor, functools.partial(job.seconds, time.perf_counter), rounds)
        yield Finding("4 end to end", f"{name}: job / floor, images per second", found, at_least(_OF_FLOOR))


def without_model(
    photos: Photos, folder: Path, rounds: int, images: int = _IMAGES, large: int = _LARGE_IMAGES
) -> Iterator[Finding]:
    """Section 5: CPU time of the job without a model, loaders included, over that of its steps alone in one thread."""
    for name, some in _samples(photos, folder / "bare", images, large):
        job = JobOfPhotos(some, folder / "bare" / f"{name} job", "model.source=none")
        steps = Steps(some, folder / "bare" / f"{name} steps")
        with started(job.loaders) as pool:
            clock = functools.partial(cpu_seconds, pool)
            _begin(photos, folder / "bare" / f"{name} first", "model.source=none")
            found = ratios_of_seconds(functools.partial(job.seconds, clock), steps.seconds, rounds)
        yield Finding("5 but the model", f"{name}: CPU time without the model / its steps", found, at_most(_OF_STEPS))


def _begin(photos: Photos, folder: Path, *settings: str) -> None:
    """Imports, threads and buffers of the first time."""
    JobOfPhotos(photos, folder, *settings).seconds(time.perf_counter)


def _samples(photos: Photos, folder: Path, images: int, large: int) -> Iterator[tuple[str, Photos]]:
    yield photos.name, photos.repeated(folder / "small", images)
    if large:
        few = photos.enlarged(folder / "enlarged", 12)
        yield few.name, few.repeated(folder / "large", large)
