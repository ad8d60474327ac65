"""The explaining as a step of somebody's own pipeline."""

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa

from beam_gradcam.explaining import explain_sources
from beam_gradcam.settings import Targets, explain_settings, target_policy
from beam_gradcam.shipping import ShippedModel, load_shipped, ship
from beam_gradcam.sources import source_of
from transforms.explain import BatchExplainer, Tally, report_metrics
from transforms.machine import keep_freed_memory
from transforms.records import Box
from transforms.storage import Storage
from transforms.versions import check_versions, versions_here

_BATCHES = 8  # to an element of the step: enough for fetching and decoding to run ahead of the model


class Explain(beam.PTransform):
    """Images -> rows, one for each image and target class; a failed image is a row with its status and error.

    Elements are URIs, or pairs ``(key, image)``; an image is a URI, the bytes of an image file, RGB pixels (uint8
    ``[H, W, 3]``) or a :class:`beam_gradcam.Image`. URIs give dicts whose keys are the columns of
    :func:`beam_gradcam.schema`; pairs give pairs ``(key, row)``. Images are batched across the elements of a bundle,
    and the model is loaded once per worker process.

    Args:
        model: as for :func:`beam_gradcam.open_model`. A source (a path, URL, ``keras:NAME`` ...) is opened by every
            worker process itself, which must be able to reach it; a live or opened model travels with the graph.
        targets: ``predicted``, ``top_k:N``, ``label``, or a list of class indices and names.
        overlays: a folder, path or URL, for overlay files; None: none are written.
        regions: declared regions by name, boxes (x0, y0, x1, y1) in 0..1 of the model input.
        batch_size: images that are computed at a time.
        models: a folder, path or URL, that launcher and workers reach: the model is compiled once, now, and kept
            there, and workers need neither Keras' files nor the source.
        storage_options: fsspec's options by URL scheme.
        options: further keys of the config's section ``model``, and ``method``, ``contrast``, ``layers`` and
            ``fusion``.

    Raises:
        UserError: when the pipeline is built: an unknown option, or a model that cannot be used.

    Metrics (namespace ``beam_gradcam``): see :func:`transforms.explain.report_metrics`.
    """

    def __init__(
        self,
        model: Any,
        targets: Targets = "predicted",
        *,
        overlays: str | None = None,
        regions: Mapping[str, Box] | None = None,
        batch_size: int = 32,
        models: str | None = None,
        storage_options: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ):
        super().__init__()
        target_policy(targets)  # raises while it is still plain whose fault it is
        storage = Storage(storage_options or {})
        self._batch_size = batch_size
        self._explain = _ExplainBatch(
            ship(model, models, storage, options),
            targets if isinstance(targets, str | int) else list(targets),
            None if overlays is None else storage.absolute(overlays),
            dict(regions or {}),
            batch_size,
            storage,
        )

    def expand(self, images: beam.PCollection[Any]) -> beam.PCollection[Any]:
        size = _BATCHES * self._batch_size
        return (
            images
            | "Batch" >> beam.BatchElements(min_batch_size=size, max_batch_size=size)
            | "Explain" >> beam.ParDo(self._explain).with_output_types(Any)
        )


class _ExplainBatch(beam.DoFn):
    def __init__(
        self,
        model: ShippedModel,
        targets: Targets,
        overlays: str | None,
        regions: Mapping[str, Box],
        batch_size: int,
        storage: Storage,
    ):
        super().__init__()
        self._model, self._targets, self._overlays = model, targets, overlays
        self._regions, self._batch_size, self._storage = regions, batch_size, storage
        self._versions = versions_here()

    def setup(self) -> None:
        check_versions(self._versions)
        keep_freed_memory()
        self._explainer = BatchExplainer(load_shipped(self._model, self._batch_size), self._batch_size)
        self._settings = explain_settings(
            self._explainer.card, self._targets, self._regions, self._batch_size, self._overlays
        )

    def process(self, elements: list[Any]) -> Iterator[Any]:
        card = self._explainer.card
        sources = [
            source_of(element[1] if isinstance(element, tuple) else element, card.inputs) for element in elements
        ]
        tally = Tally()
        results = explain_sources(sources, self._explainer, self._settings, self._storage, tally)
        report_metrics(pa.concat_tables([rows for rows, _, _ in results]), tally)
        for element, (rows, _, _) in zip(elements, results, strict=True):
            for row in rows.to_pylist():
                yield (element[0], row) if isinstance(element, tuple) else row
