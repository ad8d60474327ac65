"""Shards -> shard results: the one step that touches pixels.

Fetch and decode run ahead of the model, statistics and overlays behind it, all bounded, so that memory is flat.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import numpy as np
import pyarrow as pa

from transforms.ahead import map_ahead
from transforms.batches import BatchExplainer
from transforms.loading import LoadedImage, load_image
from transforms.model.explanation import BatchExplanation, GradCamModel, ModelCard
from transforms.overlays import encode, render_overlay
from transforms.records import ImageFailure, Shard, ShardResult
from transforms.rows import explained_rows, failed_rows
from transforms.settings import ExplainSettings
from transforms.storage import Storage
from transforms.tally import Tally

_CPUS = os.cpu_count() or 1
_LOADERS = max(4, 2 * _CPUS)  # threads that fetch and decode: more than cores, since fetching waits
_BATCHES_AHEAD = 2
_FINISHERS = min(_CPUS, 8)  # threads that make statistics and overlays, a batch each


@dataclasses.dataclass(frozen=True, eq=False)
class ExplainedBatch:
    """Images with their explanation, and those that failed since the batch before."""

    images: list[LoadedImage]
    explanation: BatchExplanation | None  # None: no image, only failures
    failed: list[LoadedImage]


class ExplainImages(beam.PTransform):
    """Shards -> rows, and overlays on storage. ``load_model`` is called once per worker process."""

    def __init__(self, load_model: Callable[[], GradCamModel], settings: ExplainSettings, storage: Storage):
        super().__init__()
        self._explain = _ExplainShards(load_model, settings, storage)

    def expand(self, shards: beam.PCollection[Shard]) -> beam.PCollection[ShardResult]:
        return shards | "Shards" >> beam.ParDo(self._explain)


class _ExplainShards(beam.DoFn):
    def __init__(self, load_model: Callable[[], GradCamModel], settings: ExplainSettings, storage: Storage):
        super().__init__()
        self._load_model = load_model
        self._settings = settings
        self._storage = storage

    def setup(self) -> None:
        self._explainer = BatchExplainer(self._load_model(), self._settings.batch_size)

    def process(self, shard: Shard) -> Iterator[ShardResult]:
        yield explain_shard(shard, self._explainer, self._settings, self._storage)


def explain_shard(shard: Shard, explainer: BatchExplainer, settings: ExplainSettings, storage: Storage) -> ShardResult:
    """Explain every image of a shard: every reference has its rows in the result, whatever happens to it.

    Only faults of the job itself (the output cannot be written, for one) are raised.
    """
    tally, card = Tally(), explainer.card
    load = functools.partial(load_image, card=card, settings=settings, storage=storage, tally=tally)
    finish = functools.partial(finish_batch, card=card, settings=settings, storage=storage, tally=tally)
    with ThreadPoolExecutor(_LOADERS, "load") as loaders, ThreadPoolExecutor(_FINISHERS, "finish") as finishers:
        images = map_ahead(load, shard.refs, loaders, _BATCHES_AHEAD * settings.batch_size)
        batches = explain_batches(images, explainer, tally)
        tables = list(map_ahead(finish, batches, finishers, _FINISHERS + 1))
    rows = pa.concat_tables([settings.schema.empty_table(), *tables])
    return ShardResult(shard, rows, tally.seconds(), tally.events())


def explain_batches(
    images: Iterable[LoadedImage], explainer: BatchExplainer, tally: Tally
) -> Iterator[ExplainedBatch]:
    """Full batches of the images that could be loaded, explained; the others are passed on beside them."""
    batch: list[LoadedImage] = []
    failed: list[LoadedImage] = []
    for image in images:
        (failed if image.failure else batch).append(image)
        if len(batch) >= explainer.batch_size:
            yield from _explain_batch(batch, failed, explainer, tally)
            batch, failed = [], []
    yield from _explain_batch(batch, failed, explainer, tally)


def _explain_batch(
    images: list[LoadedImage],
    failed: list[LoadedImage],
    explainer: BatchExplainer,
    tally: Tally,
) -> Iterator[ExplainedBatch]:
    if images:
        inputs = np.stack([image.model_input for image in images])  # type: ignore[misc]
        most = max(len(image.targets.codes) for image in images)
        codes = np.full((len(images), most), -1, np.int32)  # padded with the predicted class, whose maps are dropped
        for row, image in zip(codes, images, strict=True):
            row[: len(image.targets.codes)] = image.targets.codes
        with tally.timing("compute"):
            outcomes = list(explainer.explain(inputs, codes, tally))
        for part, outcome in outcomes:
            if isinstance(outcome, ImageFailure):
                failed = [*failed, dataclasses.replace(images[part.start], failure=outcome)]
            else:
                yield ExplainedBatch(images[part], outcome, [])
    if failed:
        yield ExplainedBatch([], None, failed)


def finish_batch(
    batch: ExplainedBatch, card: ModelCard, settings: ExplainSettings, storage: Storage, tally: Tally
) -> pa.Table:
    """The rows of a batch; its overlays are written on the way."""
    tables = []
    failures = [(image, image.failure) for image in batch.failed if image.failure]
    failures += [(image, image.targets.failure) for image in batch.images if image.targets.failure]
    if failures:
        tables.append(failed_rows(failures, settings))
    if batch.explanation is not None:
        with tally.timing("statistics"):
            tables.append(explained_rows(batch.images, batch.explanation, card, settings))
        if settings.overlays is not None:
            for row, image in enumerate(batch.images):
                for column in range(len(image.targets.codes)):
                    _write_overlay(image, batch.explanation, (row, column), settings, storage, tally)
    return pa.concat_tables(tables)


def _write_overlay(
    image: LoadedImage,
    explanation: BatchExplanation,
    place: tuple[int, int],
    settings: ExplainSettings,
    storage: Storage,
    tally: Tally,
) -> None:
    uri = settings.overlay_uri(image.ref.image_id, int(explanation.classes[place]))
    if uri is None or not explanation.finite[place]:
        return
    assert settings.overlays is not None and image.photo is not None and image.placement is not None
    look = settings.overlays
    with tally.timing("encode"):
        overlay = render_overlay(image.photo, explanation.cams[place], image.placement, look.opacity, look.colormap)
        encoded = encode(overlay, look.format, look.quality)
    with tally.timing("write"):
        storage.put(uri, encoded, durable=False)  # an overlay can be made again
