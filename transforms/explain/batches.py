"""Batches through the model: fixed shape, padded tail, and halved when one fails until the culprit is alone."""

import dataclasses
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from transforms.explain.found import counts_found, with_found_targets
from transforms.explain.loading import FailedImage, LoadedImage
from transforms.explain.tally import Tally
from transforms.model import BatchExplanation, GradCamModel
from transforms.records import ImageFailure, Stage, Status

_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class ExplainedBatch:
    """Images with their explanation."""

    images: list[LoadedImage]
    explanation: BatchExplanation


class BatchExplainer:
    """A model together with the batch size that this process can afford. One batch at a time, whoever asks."""

    def __init__(self, model: GradCamModel, batch_size: int):
        self.card = model.card
        self.batch_size = batch_size
        self._model = model
        self._lock = threading.Lock()

    def explain(
        self, images: np.ndarray, targets: np.ndarray, tally: Tally, extra: Sequence[np.ndarray] = ()
    ) -> Iterator[tuple[slice, BatchExplanation | ImageFailure]]:
        """Explain uint8 ``images`` ``[n, H, W, 3]`` for int32 ``targets`` ``[n, K]``, with other inputs ``[n, ...]``.

        Yields consecutive slices that cover the images, each with its explanation or, for a single image on which
        the model fails, the reason. ``tally`` counts batches, halvings and back-offs.
        """
        pending = [slice(0, len(images))]
        while pending:
            part = pending.pop()
            size = part.stop - part.start
            if size > self.batch_size:  # memory ran out since the batch was filled
                pending += _halves(part)
                continue
            try:
                yield part, self._explain_padded(images[part], targets[part], tally, [array[part] for array in extra])
            except Exception as error:  # noqa: BLE001 - whatever it is, it becomes one image's row
                if _out_of_memory(error) and self.batch_size > 1:
                    self.batch_size = max(1, min(self.batch_size, size) // 2)
                    tally.count("out_of_memory_backoffs")
                    _LOGGER.warning("out of memory: batches of %d from now on in this process", self.batch_size)
                if size > 1:
                    tally.count("halved_batches")
                    pending += _halves(part)
                else:
                    yield part, ImageFailure(Status.MODEL_ERROR, Stage.COMPUTE, str(error), type(error).__name__)

    def _explain_padded(
        self, images: np.ndarray, targets: np.ndarray, tally: Tally, extra: list[np.ndarray]
    ) -> BatchExplanation:
        count = len(images)
        padding = self.batch_size - count
        if padding:  # always the same shape: no retracing, no second plan in the kernels' caches
            images = np.concatenate([images, np.zeros((padding, *images.shape[1:]), images.dtype)])
            targets = np.concatenate([targets, np.full((padding, *targets.shape[1:]), -1, targets.dtype)])
            extra = [np.concatenate([array, np.repeat(array[:1], padding, axis=0)]) for array in extra]
        tally.count("batches")
        tally.count("padded_images", padding)
        with self._lock:
            explanation = self._model.explain(images, targets, *([extra] if extra else []))
        return explanation[:count] if padding else explanation


def _halves(part: slice) -> list[slice]:
    middle = (part.start + part.stop) // 2
    return [slice(middle, part.stop), slice(part.start, middle)]  # a stack: the first half comes off first


def _out_of_memory(error: Exception) -> bool:
    """By name: this side of the product does not import TensorFlow."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def explain_batches(
    images: Iterable[LoadedImage | FailedImage], explainer: BatchExplainer, tally: Tally
) -> Iterator[ExplainedBatch | FailedImage]:
    """Full batches of the images that could be loaded, explained; then the others that came among them."""
    batch: list[LoadedImage] = []
    failed: list[FailedImage] = []
    for image in images:
        if isinstance(image, FailedImage):
            failed.append(image)
        else:
            batch.append(image)
        if len(batch) >= explainer.batch_size:
            yield from _explain_batch(batch, explainer, tally)
            batch = []
        if not batch:
            yield from failed
            failed = []
    if batch:
        yield from _explain_batch(batch, explainer, tally)
    yield from failed


def _explain_batch(
    images: list[LoadedImage], explainer: BatchExplainer, tally: Tally
) -> Iterator[ExplainedBatch | FailedImage]:
    inputs = np.stack([image.model_input for image in images])
    most = max(len(image.targets.codes) for image in images)
    codes = np.full((len(images), most), -1, np.int32)  # padded with the predicted class, whose maps are dropped
    for row, image in zip(codes, images, strict=True):
        row[: len(image.targets.codes)] = image.targets.codes
    with tally.timing("compute"):
        extra = [np.stack(rows) for rows in zip(*(image.inputs for image in images), strict=True)]
        outcomes = list(explainer.explain(inputs, codes, tally, extra))
    for part, outcome in outcomes:
        if isinstance(outcome, ImageFailure):
            yield images[part.start].failed(outcome)
        else:
            yield from _settle_targets(images[part], outcome, explainer, tally)


def _settle_targets(
    images: list[LoadedImage], explanation: BatchExplanation, explainer: BatchExplainer, tally: Tally
) -> Iterator[ExplainedBatch | FailedImage]:
    """Where the scores say how many classes to explain, explain as many: again, if they were not all among the first.

    Few images have more classes than are looked at first, so that a second time is the exception.
    """
    counts = counts_found(images, explanation)
    settled = with_found_targets(images, explanation, counts)
    if max(counts) <= explanation.classes.shape[1]:
        yield ExplainedBatch(settled, explanation)
    else:
        yield from _explain_batch(settled, explainer, tally)
