"""An explained batch -> its rows, with its overlays written on the way."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from transforms.explain.batches import ExplainedBatch
from transforms.explain.loading import FailedImage, LoadedImage
from transforms.explain.rows import explained_rows, failed_rows
from transforms.explain.settings import ExplainSettings
from transforms.explain.tally import Tally
from transforms.model import BatchExplanation, ModelCard
from transforms.overlays import encode, render_overlay
from transforms.true_labels import has_unknown_label

UNKNOWN_LABELS = "unknown_labels"
"""The event of a tally for each explained image with a label that no class of the model has."""


GUARDED_CHANNELS = "guarded_channels"
"""The event of a tally for each channel of a map whose weight the method could not compute."""


def finish_batch(
    batch: ExplainedBatch | FailedImage,
    card: ModelCard,
    settings: ExplainSettings,
    write: Callable[[str, bytes], None],
    tally: Tally,
) -> pa.Table:
    """The rows of a batch or of a failed image; overlays are written on the way."""
    if isinstance(batch, FailedImage):
        return failed_rows([batch], settings)
    rows = batch_rows(batch, card, settings, tally)
    for row, image in enumerate(batch.images):
        if image.photo is not None:
            for uri, cam in overlays_of(image, batch.explanation, row, settings):
                write(uri, draw_overlay(image, cam, settings, tally))
    return rows


def batch_rows(batch: ExplainedBatch, card: ModelCard, settings: ExplainSettings, tally: Tally) -> pa.Table:
    """The rows of a batch, and what is to be counted in it."""
    with tally.timing("statistics"):
        rows = explained_rows(batch.images, batch.explanation, card, settings)
        # Some classes that were asked for may not exist: one more row says so.
        unknown = [image.failed(image.targets.failure) for image in batch.images if image.targets.failure]
        if unlabelled := sum(has_unknown_label(image.ref, card.classes) for image in batch.images):
            tally.count(UNKNOWN_LABELS, unlabelled)
        if guarded := _guarded_channels(batch):
            tally.count(GUARDED_CHANNELS, guarded)
    return pa.concat_tables([rows, failed_rows(unknown, settings)])


def _guarded_channels(batch: ExplainedBatch) -> int:
    """Of all maps that have rows; where an image has fewer classes than others of its batch, the last are no maps."""
    return sum(
        int(row[: len(image.targets.codes)].sum())
        for image, row in zip(batch.images, batch.explanation.guarded, strict=True)
    )


def overlays_of(
    image: LoadedImage, explanation: BatchExplanation, row: int, settings: ExplainSettings
) -> Iterator[tuple[str, np.ndarray]]:
    """URI and map ``[h, w]`` of each overlay of the image in that row of a batch; none where none are written."""
    for column in range(len(image.targets.codes)):
        uri = settings.overlay_uri(image.ref.image_id, int(explanation.classes[row, column]))
        if uri is not None and explanation.finite[row, column]:
            yield uri, explanation.cams[row, column]


def draw_overlay(image: LoadedImage, cam: np.ndarray, settings: ExplainSettings, tally: Tally) -> bytes:
    """The encoded overlay of one map ``[h, w]`` over the photo of the image, which must have one."""
    look = settings.overlays
    assert look is not None
    assert image.photo is not None
    with tally.timing("encode"):
        overlay = render_overlay(image.photo, cam, image.placement, look.opacity, look.colormap)
        return encode(overlay, look.format, look.quality)
