"""Section 9: loader processes against threads, what the worker process keeps to itself, and a device of known speed."""

import contextlib
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.jobs import JobOfPhotos
from benchmarks.measure import Finding, at_least, at_most, ratios_of_seconds
from benchmarks.photos import Photos
from transforms.explain import BatchExplainer, ExplainSettings, Tally
from transforms.explain.failure_limit import FailureLimit
from transforms.explain.shard import explain_shard
from transforms.loaders import LoaderPool, give_back_loaders, take_loaders
from transforms.machine import available_cpus
from transforms.model import BatchExplanation, ModelOptions
from transforms.model.no_model import NoModel, no_model_card
from transforms.overlays import OverlaySettings
from transforms.records import ImageRef, Shard, image_id_of
from transforms.storage import Storage
from transforms.table import TableLocation, statistics_schema

_IMAGES = 2048
_LOCK_HELD = 0.5  # ms an image
_OVER_THREADS = 1.5
_SAMPLES = 200  # a second
H100 = 9000.0
"""Images a second of a MobileNet-sized network with maps on an NVIDIA H100: assumed, not measured here."""


@contextlib.contextmanager
def started(count: int) -> Iterator[LoaderPool | None]:
    """Loaders that jobs of this process share, there before the first and after the last."""
    pool = take_loaders(count)
    try:
        while pool is not None and len(pool.pids()) < count:
            time.sleep(0.02)
        yield pool
    finally:
        if pool is not None:
            give_back_loaders(pool)


def cpu_seconds(pool: LoaderPool | None) -> float:
    """CPU time of this process and of its loaders so far."""
    seconds = time.process_time()
    for pid in [] if pool is None else pool.pids():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def loaders(photos: Photos, folder: Path, rounds: int, images: int = _IMAGES) -> Iterator[Finding]:
    """Images per second without a model by the number of loaders, the lock of the worker process, and a device."""
    some = photos.repeated(folder / "photos", images)
    threads = JobOfPhotos(some, folder / "threads", "model.source=none", "run.loaders=0")
    cores = available_cpus()
    for count in sorted({1, 2, cores}):
        job = JobOfPhotos(some, folder / f"{count} loaders", "model.source=none", f"run.loaders={count}")
        with started(count):
            found = ratios_of_seconds(
                lambda: threads.seconds(time.perf_counter), lambda job=job: job.seconds(time.perf_counter), rounds
            )
        target = at_least(_OVER_THREADS) if count == cores else None
        yield Finding("9 loaders", f"no model, {count} loaders / threads, images per second", found, target)
    with started(cores) as pool:
        for name, one, count in (("threads", None, 0), (f"{cores} loaders", pool, cores)):
            held = tuple(_lock_held(one, some, folder / f"held-{count}-{turn}") for turn in range(rounds))
            if None not in held:
                target = at_most(_LOCK_HELD) if one is not None else None
                yield Finding("9 loaders", f"{name}: lock held in the worker process, ms an image", held, target)
                yield Finding(
                    "9 loaders", f"{name}: at most so many images per second", tuple(1000 / ms for ms in held)
                )
        speed = tuple(_on_a_device(pool, some, folder / f"device-{turn}") for turn in range(rounds))
        yield Finding("9 loaders", f"a device of {H100:.0f} images/s, {cores} loaders: images per second", speed)
        yield Finding("9 loaders", "the same, of one core", tuple(one / cores for one in speed))


class Device(NoModel):
    """Answers after the time that a device would take; the lock is free meanwhile, as it is while one computes."""

    def __init__(self, images_per_second: float):
        super().__init__(no_model_card(ModelOptions(source="none")))
        self._speed = images_per_second

    def explain(self, images: np.ndarray, targets: np.ndarray) -> BatchExplanation:
        time.sleep(len(images) / self._speed)
        return super().explain(images, targets)


def _explain(pool: LoaderPool | None, photos: Photos, folder: Path, speed: float = 1e9) -> float:
    """Seconds."""
    settings = ExplainSettings(
        TableLocation(str(folder), "r1", "f"), statistics_schema(), overlays=OverlaySettings(), batch_size=32
    )
    shard = Shard("0", tuple(ImageRef(path, image_id_of(path)) for path in photos.paths), 0, 0, 0)
    start = time.perf_counter()
    explain_shard(shard, BatchExplainer(Device(speed), 32), settings, Storage(), FailureLimit(0), Tally(), pool)
    return time.perf_counter() - start  # what was written stays, see JobOfPhotos


def _on_a_device(pool: LoaderPool | None, photos: Photos, folder: Path) -> float:
    return len(photos.paths) / _explain(pool, photos, folder, H100)


def _lock_held(pool: LoaderPool | None, photos: Photos, folder: Path) -> float | None:
    """Milliseconds an image that some thread of this process holds the interpreter lock; None without py-spy."""
    spy = shutil.which("py-spy", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", ""))))
    if spy is None:
        return None
    found = folder.with_suffix(".raw")
    command = [
        spy,
        "record",
        "--gil",
        "--nonblocking",
        "--format",
        "raw",
        "--rate",
        str(_SAMPLES),
        "--output",
        str(found),
    ]
    sampler = subprocess.Popen(
        [*command, str(found), "--duration", "600", "--pid", str(os.getpid())],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1.0)  # until it samples; idle threads do not count
        before = time.process_time()
        _explain(pool, photos, folder)
        own = time.process_time() - before
    finally:
        sampler.send_signal(2)
        sampler.wait()
    samples = sum(int(line.rpartition(" ")[2]) for line in found.read_text().splitlines())
    return min(samples / _SAMPLES, own) / len(photos.paths) * 1000
