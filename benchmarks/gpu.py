"""Section 8, where TensorFlow sees a GPU: the whole job by its loaders, and the model by batch and precision."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.jobs import JobOfPhotos
from benchmarks.loaders import started
from benchmarks.measure import Finding, seconds_of, several
from benchmarks.photos import Photos
from transforms.explain.shard import WHOLE
from transforms.machine import available_cpus
from transforms.storage import Storage

_MODELS = ("bundled", "MobileNetV2", "ResNet50")
_PRECISIONS = ("float32", "float16", "bfloat16")
_BATCHES = (32, 64, 128, 256, 512)
_LOADERS = (1, 4, 8, 12)
_TIMES = 10  # batches that are timed together
_SECONDS = 480.0


def gpu(
    photos: Photos,
    folder: Path,
    rounds: int,
    batches: tuple[int, ...] = _BATCHES,
    images: int = 4096,
    seconds: float = _SECONDS,
) -> Iterator[Finding]:
    """Absolute numbers, for here the device is what is measured; and what 16 bits change in the maps.

    What is not begun after ``seconds`` is left out, for a device may be lent for minutes only.
    """
    end = time.monotonic() + seconds
    for part in (_end_to_end(photos, folder / "jobs", rounds, images), _by_batch(photos, folder, rounds, batches)):
        for finding in part:
            yield finding
            if time.monotonic() > end:
                return


def _end_to_end(photos: Photos, folder: Path, rounds: int, images: int) -> Iterator[Finding]:
    """Local files to the last part and overlay, with the bundled model in batches of 128."""
    some = photos.repeated(folder / "photos", images)
    for count in [count for count in _LOADERS if count <= max(available_cpus(), 2)]:
        job = JobOfPhotos(some, folder / str(count), f"run.loaders={count}", "explain.batch_size=128")
        with started(count):
            job.seconds(time.perf_counter)
            found, busy = [], []
            for _ in range(rounds):
                found.append(images / job.seconds(time.perf_counter))
                steps = job.steps()
                busy.append(steps["compute"] / steps[WHOLE])
        yield Finding("8 gpu", f"bundled, the whole job, {count} loaders: images per second", tuple(found))
        yield Finding("8 gpu", "the same: share of the time that the device is busy", tuple(busy))


def _by_batch(photos: Photos, folder: Path, rounds: int, batches: tuple[int, ...]) -> Iterator[Finding]:
    from benchmarks.models import compiled_folder
    from transforms.model.compiled import load_compiled

    for name in _MODELS:
        exact: np.ndarray | None = None
        for precision in _PRECISIONS:
            maps, compiled = np.empty(0), compiled_folder(name, folder / "models", precision)
            for batch in batches:
                images = photos.batch(batch)
                classes = np.full((batch, 1), -1, np.int32)
                model = load_compiled(compiled, Storage(), batch)
                maps = model.explain(images, classes).cams  # traced and warm
                explain = several(lambda: model.explain(images, classes), _TIMES)  # noqa: B023
                found = tuple(batch * _TIMES / seconds_of(explain) for _ in range(rounds))
                yield Finding("8 gpu", f"{name}, batch {batch}, {precision}: images per second", found)
            if exact is None:
                exact = maps
            else:
                change = float(np.abs(maps - exact).max() / np.abs(exact).max())
                yield Finding("8 gpu", f"{name}, {precision}: largest change of a map / largest value", (change,))


def has_gpu() -> bool:
    from transforms.model.tensorflow import tf

    return bool(tf.config.list_physical_devices("GPU"))
