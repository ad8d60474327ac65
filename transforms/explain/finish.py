"""An explained batch -> its rows, with its overlays written on the way."""

from collections.abc import Callable

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
    with tally.timing("statistics"):
        rows = explained_rows(batch.images, batch.explanation, card, settings)
        # Some classes that were asked for may not exist: one more row says so.
        unknown = [image.failed(image.targets.failure) for image in batch.images if image.targets.failure]
        if unlabelled := sum(has_unknown_label(image.ref, card.classes) for image in batch.images):
            tally.count(UNKNOWN_LABELS, unlabelled)
        if guarded := _guarded_channels(batch):
            tally.count(GUARDED_CHANNELS, guarded)
    for row, image in enumerate(batch.images):
        for column in range(len(image.targets.codes)):
            _write_overlay(image, batch.explanation, (row, column), settings, write, tally)
    return pa.concat_tables([rows, failed_rows(unknown, settings)])


def _guarded_channels(batch: ExplainedBatch) -> int:
    """Of all maps that have rows; where an image has fewer classes than others of its batch, the last are no maps."""
    return sum(
        int(row[: len(image.targets.codes)].sum())
        for image, row in zip(batch.images, batch.explanation.guarded, strict=True)
    )


def _write_overlay(
    image: LoadedImage,
    explanation: BatchExplanation,
    place: tuple[int, int],
    settings: ExplainSettings,
    write: Callable[[str, bytes], None],
    tally: Tally,
) -> None:
    look = settings.overlays
    uri = settings.overlay_uri(image.ref.image_id, int(explanation.classes[place]))
    if look is None or uri is None or image.photo is None or not explanation.finite[place]:
        return
    with tally.timing("encode"):
        overlay = render_overlay(image.photo, explanation.cams[place], image.placement, look.opacity, look.colormap)
        encoded = encode(overlay, look.format, look.quality)
    write(uri, encoded)
