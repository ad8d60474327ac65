"""Sections 4 and 5: the whole job against its floor, and everything but the model against decode and encode."""

import functools
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.jobs import Floor, JobOfPhotos
from benchmarks.measure import Finding, at_least, at_most, ratios_of_seconds, several
from benchmarks.photos import Photos

_OF_FLOOR = 0.85
_OF_DECODE_AND_ENCODE = 1.3
# Enough that what a job costs to begin with, half a second, does not count: that is section 7.
_IMAGES, _LARGE_IMAGES = 2048, 384


def whole_job(
    photos: Photos, folder: Path, rounds: int, images: int = _IMAGES, large: int = _LARGE_IMAGES
) -> Iterator[Finding]:
    """Section 4: images/s of the job with the bundled model over those of its floor.

    The floor: decode, forward pass of our own graph, encode, one after the other, each on all cores.
    """
    from benchmarks.models import BUNDLED, timed_model

    model = timed_model(BUNDLED, photos.batch(32), folder / "models")
    for name, some in _samples(photos, folder / "whole", images, large):
        job = JobOfPhotos(some, folder / "whole" / f"{name} job")
        floor = Floor(some)
        forward = several(model.run_graph, len(some.paths) // 32)
        of_floor = functools.partial(floor.seconds, time.perf_counter, forward)
        found = ratios_of_seconds(of_floor, functools.partial(job.seconds, time.perf_counter), rounds)
        yield Finding("4 end to end", f"{name}: job / floor, images per second", found, at_least(_OF_FLOOR))


def without_model(
    photos: Photos, folder: Path, rounds: int, images: int = _IMAGES, large: int = _LARGE_IMAGES
) -> Iterator[Finding]:
    """Section 5: CPU time of the job without a model over that of decode and encode alone."""
    for name, some in _samples(photos, folder / "bare", images, large):
        job = JobOfPhotos(some, folder / "bare" / f"{name} job", "model.source=none")
        floor = Floor(some)
        of_floor = functools.partial(floor.seconds, time.process_time)
        found = ratios_of_seconds(functools.partial(job.seconds, time.process_time), of_floor, rounds)
        what = f"{name}: CPU time without the model / decode + encode"
        yield Finding("5 but the model", what, found, at_most(_OF_DECODE_AND_ENCODE))


def _samples(photos: Photos, folder: Path, images: int, large: int) -> Iterator[tuple[str, Photos]]:
    yield photos.name, photos.repeated(folder / "small", images)
    if large:
        few = photos.enlarged(folder / "enlarged", 12)
        yield few.name, few.repeated(folder / "large", large)
