"""Shards -> shard results: the one step that touches pixels.

Fetch and decode run ahead of the model, statistics, overlays and their writes behind it, all bounded, so that memory is
flat.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import cv2
import pyarrow as pa

from transforms.concurrency import WritesBehind, map_ahead
from transforms.explain.batches import BatchExplainer, explain_batches
from transforms.explain.embedding import EmbeddingNotes
from transforms.explain.failure_limit import FailureLimit, TooManyFailures, write_stop
from transforms.explain.finish import finish_batch
from transforms.explain.loading import ImageLoader, load_images
from transforms.explain.metrics import report_metrics
from transforms.explain.settings import ExplainSettings
from transforms.explain.tally import Tally
from transforms.explain.turns import Turn, in_turn
from transforms.loaders import FINISHING, LoaderCount, LoaderPool, Session, give_back_loaders, take_loaders
from transforms.machine import available_cpus, keep_freed_memory
from transforms.model import GradCamModel
from transforms.overlays import encode_tar, member_of
from transforms.records import Shard, ShardResult
from transforms.storage import SequentialReader, Storage
from transforms.versions import check_versions, versions_here

_FINISHERS = min(available_cpus(), 8)  # threads that make statistics and overlays, a batch each


_WRITERS = 16


_WRITTEN_BEHIND = 64  # overlays


WAITING = "waiting for images"
"""The step of a tally in which the model had nothing to do because no batch was loaded yet."""


WHOLE = "shard"
"""The step of a tally that all of a shard takes, by the clock on the wall. The others add up over threads."""


class ExplainImages(beam.PTransform):
    """Shards, some in turn -> results; overlays on storage. ``load_model`` is called once per worker process.

    Args:
        loaders: how many processes decode in each worker process; none: threads do.
    """

    def __init__(
        self,
        load_model: Callable[[], GradCamModel],
        settings: ExplainSettings,
        storage: Storage,
        loaders: LoaderCount = LoaderCount(),
    ):
        super().__init__()
        self._explain = _ExplainShards(load_model, settings, storage, loaders)

    def expand(self, shards: beam.PCollection[tuple[Shard, ...]]) -> beam.PCollection[ShardResult]:
        return shards | "Shards" >> beam.ParDo(self._explain)


class _ExplainShards(beam.DoFn):
    def __init__(
        self, load_model: Callable[[], GradCamModel], settings: ExplainSettings, storage: Storage, loaders: LoaderCount
    ):
        super().__init__()
        self._load_model = load_model
        self._wanted = loaders
        self._settings = settings
        self._storage = storage
        self._versions = versions_here()

    def setup(self) -> None:
        check_versions(self._versions)
        keep_freed_memory()
        cv2.setNumThreads(1)  # many pictures at a time keep the cores busy; threads within one only wait for each other
        self._loaders = take_loaders(self._wanted.here())  # they start while the model is loaded
        try:
            self._explainer = BatchExplainer(self._load_model(), self._settings.batch_size)
        except BaseException:
            self.teardown()  # Beam calls it only where all has gone well here
            raise
        self._limit = FailureLimit(self._settings.max_failures)

    def teardown(self) -> None:
        if self._loaders is not None:
            give_back_loaders(self._loaders)
            self._loaders = None

    def process(self, shards: tuple[Shard, ...]) -> Iterator[ShardResult]:
        for result, tally in in_turn(self._explain, shards):
            report_metrics(result.rows, tally)  # Beam counts what this thread reports
            yield result

    def _explain(self, shard: Shard, turn: Turn) -> tuple[ShardResult, Tally]:
        tally = Tally()
        try:
            result = explain_shard(
                shard, self._explainer, self._settings, self._storage, self._limit, tally, self._loaders, turn
            )
        except TooManyFailures as stopped:
            write_stop(stopped, shard.shard_id, self._settings.table, self._storage)
            raise
        return result, tally


def explain_shard(
    shard: Shard,
    explainer: BatchExplainer,
    settings: ExplainSettings,
    storage: Storage,
    limit: FailureLimit,
    tally: Tally,
    loaders: LoaderPool | None = None,
    turn: Turn | None = None,
) -> ShardResult:
    """Explain every image of a shard: every reference has its rows in the result, whatever happens to it.

    Only faults of the job itself (the output cannot be written, for one) are raised.

    Args:
        loaders: the processes that load images and draw overlays; None: threads of this one do.
        turn: told when all images are on their way.

    Raises:
        TooManyFailures: from ``limit``.
    """
    settings = settings.of_shard(shard.shard_id)
    loader = ImageLoader(explainer.card, settings, storage, tally)
    notes = EmbeddingNotes(settings.table.embeddings)
    turn = turn or Turn()

    def put(uri: str, content: bytes) -> None:
        with tally.timing("write"):
            storage.put(uri, content, durable=False)  # an overlay can be made again
        tally.count("bytes_written", len(content))

    with tally.timing(WHOLE), contextlib.closing(SequentialReader(shard.refs, storage)) as containers:
        if containers.has_images:
            loader = dataclasses.replace(loader, containers=containers)
        if loaders is None:
            rows, archived = _explain_in_threads(shard, loader, explainer, limit, put, notes, turn)
        else:
            rows, archived = _explain_in_loaders(loaders, shard, loader, explainer, limit, notes, turn)
        if settings.archive is not None and archived:
            put(settings.archive, encode_tar({member_of(uri): file for uri, file in archived.items()}))
    return ShardResult(shard, rows, tally.seconds(), tally.events(), notes.table(rows))


def _explain_in_threads(
    shard: Shard,
    loader: ImageLoader,
    explainer: BatchExplainer,
    limit: FailureLimit,
    put: Callable[[str, bytes], None],
    notes: EmbeddingNotes,
    turn: Turn,
) -> tuple[pa.Table, dict[str, bytes]]:
    """The rows of a shard, and the overlays that wait for its tar."""
    settings, tally = loader.settings, loader.tally
    archived: dict[str, bytes] = {}
    images = load_images(turn.passing(shard.refs), loader)
    with (
        contextlib.closing(images),
        WritesBehind(put, _WRITERS, _WRITTEN_BEHIND) as put_behind,
        ThreadPoolExecutor(_FINISHERS, "finish") as finishers,
    ):
        write = put_behind if settings.archive is None else archived.__setitem__
        finish = functools.partial(finish_batch, card=explainer.card, settings=settings, write=write, tally=tally)
        batches = notes.passing(explain_batches(tally.waiting(WAITING, images), explainer, tally))
        tables = [limit.see(table) for table in map_ahead(finish, batches, finishers, _FINISHERS + 1)]
    return pa.concat_tables([settings.schema.empty_table(), *tables]), archived


def _explain_in_loaders(
    loaders: LoaderPool,
    shard: Shard,
    loader: ImageLoader,
    explainer: BatchExplainer,
    limit: FailureLimit,
    notes: EmbeddingNotes,
    turn: Turn,
) -> tuple[pa.Table, dict[str, bytes]]:
    """The same; the threads here only wait, and read what lies in larger files."""
    tally = loader.tally
    with (
        Session(loaders, loader) as session,
        contextlib.closing(session.load(turn.passing(shard.refs))) as images,
        ThreadPoolExecutor(FINISHING, "finish") as finishers,
    ):
        batches = notes.passing(explain_batches(tally.waiting(WAITING, images), explainer, tally))
        tables = [limit.see(table) for table in map_ahead(session.finish, batches, finishers, FINISHING)]
        return session.settle(pa.concat_tables([loader.settings.schema.empty_table(), *tables]))
