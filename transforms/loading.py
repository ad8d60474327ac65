"""One image from its URI to the model input: fetch, decode, resize."""

import dataclasses
import hashlib

import numpy as np

from transforms.images import decode, resize, shrink
from transforms.model.explanation import ModelCard
from transforms.placement import Placement, place
from transforms.records import ImageFailure, ImageRef
from transforms.settings import ExplainSettings
from transforms.storage import Storage
from transforms.tally import Tally
from transforms.targets import Classes, ImageTargets, targets_of


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedImage:
    """One image after fetch, decode and resize; or what went wrong, with what was known by then."""

    ref: ImageRef
    targets: ImageTargets
    failure: ImageFailure | None = None
    content_sha256: str | None = None
    byte_count: int | None = None
    width: int | None = None  # pixels of the original after orientation
    height: int | None = None
    placement: Placement | None = None
    model_input: np.ndarray | None = None  # uint8 [H, W, 3]
    photo: np.ndarray | None = None  # uint8 [h, w, 3], shrunk for the overlay; None where none is written


def load_image(
    ref: ImageRef, card: ModelCard, settings: ExplainSettings, storage: Storage, tally: Tally
) -> LoadedImage:
    """Fetch and decode one image and bring it to the size of the model input. The image's own faults become a failure."""
    targets = targets_of(ref, settings.targets, Classes(card.class_count, card.class_names))
    loaded = LoadedImage(ref, targets)
    if not targets.codes:
        return dataclasses.replace(loaded, failure=targets.failure)
    try:
        with tally.timing("fetch"):
            encoded = storage.fetch(ref.uri, settings.limits.max_bytes, lambda _: tally.count("fetch_retries"))
        with tally.timing("decode"):
            digest = hashlib.sha256(encoded).hexdigest()
            loaded = dataclasses.replace(loaded, content_sha256=digest, byte_count=len(encoded))
            side = settings.overlays.max_side if settings.overlays else 0
            decoded = decode(encoded, settings.limits, (card.input_height, card.input_width), side)
            placement = place(decoded.width, decoded.height, card.input_height, card.input_width, settings.resize)
            return dataclasses.replace(
                loaded,
                width=decoded.width,
                height=decoded.height,
                placement=placement,
                model_input=resize(decoded, placement),
                photo=shrink(decoded, settings.overlays.max_side) if settings.overlays else None,
            )
    except ImageFailure as failure:
        return dataclasses.replace(loaded, failure=failure)
