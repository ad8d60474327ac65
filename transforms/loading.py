"""One image from its URI to the model input: fetch, decode, resize."""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np

from transforms.images import decode, resize, shrink
from transforms.model.explanation import ModelCard
from transforms.placement import Placement, place
from transforms.records import ImageFailure, ImageRef, Stage
from transforms.settings import ExplainSettings, OverlaySettings
from transforms.storage import Storage
from transforms.tally import Tally
from transforms.targets import ImageTargets, targets_of


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedImage:
    """One image after fetch, decode and resize."""

    ref: ImageRef
    targets: ImageTargets
    content_sha256: str
    byte_count: int
    placement: Placement
    model_input: np.ndarray  # uint8 [H, W, 3]
    photo: np.ndarray | None  # uint8 [h, w, 3], shrunk for the overlay; None where none is written
    content_version: str | None = None  # as the store had it just before the fetch; None where nobody asks

    def failed(self, failure: ImageFailure) -> "FailedImage":
        return FailedImage(
            self.ref,
            failure,
            self.content_sha256,
            self.byte_count,
            self.placement.width,
            self.placement.height,
            self.content_version,
        )


@dataclasses.dataclass(frozen=True)
class FailedImage:
    """One image that cannot be explained, with what was known by then."""

    ref: ImageRef
    failure: ImageFailure
    content_sha256: str | None = None
    byte_count: int | None = None
    width: int | None = None  # pixels of the original after orientation
    height: int | None = None
    content_version: str | None = None


def load_image(
    ref: ImageRef,
    card: ModelCard,
    settings: ExplainSettings,
    storage: Storage,
    tally: Tally,
    enter: Callable[[Stage], None] = lambda stage: None,
) -> LoadedImage | FailedImage:
    """Fetch and decode one image and bring it to the size of the model input. ``enter`` hears of each stage."""
    targets = targets_of(ref, settings.targets, card.classes)
    if targets.failure and not targets.codes:
        return FailedImage(ref, targets.failure)
    enter(Stage.FETCH)
    with tally.timing("fetch"):
        version = storage.version_of_image(ref.uri) if settings.detect_changes else None
        try:
            encoded = storage.fetch(ref.uri, settings.limits.max_bytes, lambda _: tally.count("fetch_retries"))
        except ImageFailure as failure:
            return FailedImage(ref, failure, content_version=version)
    enter(Stage.DECODE)
    with tally.timing("decode"):
        digest = hashlib.sha256(encoded).hexdigest()
        # A run without overlays decodes as one with the usual ones does, so that its numbers are the same.
        side = (settings.overlays or OverlaySettings()).max_side
        try:
            decoded = decode(encoded, settings.limits, (card.input_height, card.input_width), side)
        except ImageFailure as failure:
            return FailedImage(ref, failure, digest, len(encoded), content_version=version)
        placement = place(decoded.width, decoded.height, card.input_height, card.input_width, settings.resize)
        photo = shrink(decoded, side) if settings.overlays else None
        model_input = resize(decoded, placement)
        return LoadedImage(ref, targets, digest, len(encoded), placement, model_input, photo, version)
