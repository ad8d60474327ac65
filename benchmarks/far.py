"""Section 4, far away: images and results on a store that takes its time with every answer, against a local disk."""

import functools
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from benchmarks.jobs import JobOfPhotos
from benchmarks.measure import Finding, ratios_of_seconds
from benchmarks.photos import Photos

_ANSWER = 0.05  # seconds


class FarFiles(LocalFileSystem):
    """``far:///path``: local files, each read and each write with the latency of an object store."""

    protocol = "far"

    def __init__(self, **options: object):
        super().__init__(auto_mkdir=True, **options)

    def cat_file(self, path: str, **options: object) -> bytes:
        time.sleep(_ANSWER)
        return super().cat_file(path, **options)

    def pipe_file(self, path: str, value: bytes, **options: object) -> None:
        time.sleep(_ANSWER)
        super().pipe_file(path, value, **options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("far://"))

    def unstrip_protocol(self, name: str) -> str:
        return f"far://{self._strip_protocol(name)}"


def far_store(photos: Photos, folder: Path, rounds: int, images: int = 1024) -> Iterator[Finding]:
    """Images per second without a model, 50 ms an answer, over those with local files."""
    fsspec.register_implementation("far", FarFiles, clobber=True)
    some = photos.repeated(folder / "photos", images)
    far = Photos(some.name, tuple(f"far://{path}" for path in some.paths))
    near_job = JobOfPhotos(some, folder / "near", "model.source=none")
    far_job = JobOfPhotos(far, folder / "far", "model.source=none", f"output.path=far://{folder / 'far' / 'out'}")
    near_seconds, far_seconds = (functools.partial(job.seconds, time.perf_counter) for job in (near_job, far_job))
    found = ratios_of_seconds(near_seconds, far_seconds, rounds)
    yield Finding("4 end to end", f"{photos.name}, no model: store with 50 ms an answer / local disk, images/s", found)
