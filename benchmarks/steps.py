"""The steps that no job can do without, each alone: the floor of everything but the model."""

import hashlib
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.measure import Clock, seconds_of
from benchmarks.photos import Photos
from transforms.explain import ExplainSettings, LoadedImage, explained_rows
from transforms.images import decode_image, resize_image, shrink
from transforms.model import ModelOptions
from transforms.model.no_model import NoModel, no_model_card
from transforms.overlays import OverlaySettings, encode, render_overlay
from transforms.records import ImageRef, image_id_of
from transforms.storage import Storage
from transforms.table import TableLocation, statistics_schema
from transforms.targets import ImageTargets

_LOOK = OverlaySettings()
_BATCH = 32


class Steps:
    """Fetch, digest, decode, resize, draw, encode and write some photos, and make their rows, in this thread.

    What each step needs of the one before is made beforehand. ``few`` photos are done, and the time is that of all.
    """

    def __init__(self, photos: Photos, folder: Path, few: int = 130):
        folder.mkdir(parents=True)
        self._times = len(photos.paths) / len(photos.paths[:few])
        paths, storage = photos.paths[:few], Storage()
        card = no_model_card(ModelOptions(source="none"))
        need = card.sampling.need(card.input_height, card.input_width)
        files = [storage.fetch(path, 1 << 28) for path in paths]
        decoded = [decode_image(file, need=need, max_side=_LOOK.max_side) for file in files]
        places = [card.place(one.width, one.height) for one in decoded]
        inputs = [resize_image(one, where, card.sampling) for one, where in zip(decoded, places, strict=True)]
        shrunk = [shrink(one, _LOOK.max_side) for one in decoded]
        explanation = NoModel(card).explain(np.stack(inputs), np.full((len(inputs), 1), -1, np.int32))
        cams = [np.array(cam) for cam in explanation.cams[:, 0]]
        drawn = [_draw(*one) for one in zip(shrunk, cams, places, strict=True)]
        encoded = [encode(overlay, _LOOK.format, _LOOK.quality) for overlay in drawn]
        numbers = itertools.count()  # new files, as the job's are: to write over one is to remove one, see JobOfPhotos
        settings = ExplainSettings(TableLocation(str(folder), "r1", "f"), statistics_schema(), overlays=_LOOK)
        images = [
            LoadedImage(
                ImageRef(path, image_id_of(path)), ImageTargets((-1,), "predicted"), "0" * 64, 1, where, pixels, None
            )
            for path, where, pixels in zip(paths, places, inputs, strict=True)
        ]
        batches = [slice(start, start + _BATCH) for start in range(0, len(images), _BATCH)]
        self._steps: list[tuple[str, Callable[..., Any], Sequence[tuple]]] = [
            ("fetch", lambda path: storage.fetch(path, 1 << 28), _each(paths)),
            ("digest", lambda file: hashlib.sha256(file).hexdigest(), _each(files)),
            ("decode", lambda file: decode_image(file, need=need, max_side=_LOOK.max_side), _each(files)),
            ("resize", lambda one, where: resize_image(one, where, card.sampling), _each(decoded, places)),
            ("shrink", lambda one: shrink(one, _LOOK.max_side), _each(decoded)),
            ("overlay", _draw, _each(shrunk, cams, places)),
            ("encode", lambda overlay: encode(overlay, _LOOK.format, _LOOK.quality), _each(drawn)),
            ("put", lambda file: storage.put(f"{folder}/{next(numbers):07d}.jpg", file, durable=False), _each(encoded)),
            ("rows", lambda part: explained_rows(images[part], explanation[part], card, settings), _each(batches)),
        ]  # fmt: skip

    def by_step(self, clock: Clock = time.thread_time, rounds: int = 3) -> dict[str, float]:
        """Seconds of each step, for all photos: the median of some rounds through all steps."""
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            found: dict[str, list[float]] = {name: [] for name, _, _ in self._steps}
            for _ in range(rounds):
                for name, step, arguments in self._steps:
                    found[name].append(seconds_of(lambda: [step(*some) for some in arguments], clock))  # noqa: B023
        finally:
            cv2.setNumThreads(threads)
        return {name: self._times * statistics.median(seconds) for name, seconds in found.items()}

    def seconds(self) -> float:
        """CPU seconds of all steps."""
        return sum(self.by_step().values())


def _each(*columns: Sequence[Any]) -> list[tuple]:
    return list(zip(*columns, strict=True))


def _draw(photo: np.ndarray, cam: np.ndarray, placement: Any) -> np.ndarray:
    return render_overlay(photo, cam, placement, _LOOK.opacity, _LOOK.colormap)
