"""Section 8, where TensorFlow sees a GPU: images per second by batch and precision, and how long the device waits."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.jobs import JobOfPhotos
from benchmarks.measure import Finding, seconds_of, several
from benchmarks.photos import Photos
from transforms.explain.shard import WHOLE

_MODELS = ("MobileNetV2", "ResNet50")
_BATCHES = (32, 64, 128, 256, 512)
_TIMES = 10  # batches that are timed together


def gpu(
    photos: Photos, folder: Path, rounds: int, batches: tuple[int, ...] = _BATCHES, images: int = 4096
) -> Iterator[Finding]:
    """Absolute numbers, for here the device is what is measured; and what half precision changes in the maps."""
    from benchmarks.models import timed_model
    from transforms.model.tensorflow import tf

    for name in _MODELS:
        for batch in batches:
            model, maps = timed_model(name, photos.batch(batch), folder / "models"), []
            for precision in ("float32", "mixed"):
                tf.config.optimizer.set_experimental_options({"auto_mixed_precision": precision == "mixed"})
                maps.append(model.explain().cams)  # traced and warm
                found = tuple(batch * _TIMES / seconds_of(several(model.explain, _TIMES)) for _ in range(rounds))
                yield Finding("8 gpu", f"{name}, batch {batch}, {precision}: images per second", found)
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision": False})
        exact, half = maps
        change = float(np.abs(half - exact).max() / np.abs(exact).max())
        yield Finding("8 gpu", f"{name}: largest change of a map in mixed precision / largest value", (change,))
    job = JobOfPhotos(photos.repeated(folder / "many", images), folder / "job")
    job.seconds(time.perf_counter)
    job.seconds(time.perf_counter)
    seconds = job.steps()
    idle = 1 - seconds["compute"] / seconds[WHOLE]
    yield Finding("8 gpu", "bundled, the whole job: share of the time that the device waits", (idle,))


def has_gpu() -> bool:
    from transforms.model.tensorflow import tf

    return bool(tf.config.list_physical_devices("GPU"))
