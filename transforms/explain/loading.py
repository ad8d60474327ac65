"""Images from their URIs to model inputs: fetched by many threads, since those wait, decoded by one for each core."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Generator, Iterable

import numpy as np

from transforms.concurrency import map_patiently
from transforms.explain.settings import ExplainSettings
from transforms.explain.tally import Tally
from transforms.images import decode_image, resize_image, shrink
from transforms.machine import available_cpus
from transforms.model import ModelCard
from transforms.overlays import OverlaySettings
from transforms.placement import Placement, place
from transforms.records import ImageFailure, ImageRef, Stage, Status
from transforms.storage import Storage
from transforms.targets import ImageTargets, targets_of

_DECODERS = available_cpus()
_FETCHERS = max(16, 2 * _DECODERS)  # object stores answer after 20 to 100 ms, however many ask at a time
_FETCHED_AHEAD = 2 * _FETCHERS  # encoded images
_BATCHES_AHEAD = 2  # decoded
_PATIENCE = 1.2  # of the storage's own limit: where the storage can say itself what took so long, it does


@dataclasses.dataclass(frozen=True, eq=False)
class FetchedImage:
    """One image as it is stored."""

    ref: ImageRef
    targets: ImageTargets
    encoded: bytes
    content_version: str | None  # as the store had it just before the fetch; None where nobody asks


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


def load_images(
    refs: Iterable[ImageRef], card: ModelCard, settings: ExplainSettings, storage: Storage, tally: Tally
) -> Generator[LoadedImage | FailedImage]:
    """Load images ahead of the consumer, in order and bounded. A fetch or a decode that hangs costs its own image."""
    seconds = _PATIENCE * storage.timeout
    fetched = map_patiently(
        lambda ref: fetch_image(ref, card, settings, storage, tally),
        refs,
        _FETCHERS,
        _FETCHED_AHEAD,
        seconds,
        lambda ref: FailedImage(ref, _timed_out(Stage.FETCH, Status.FETCH_ERROR, seconds, tally)),
    )
    with contextlib.closing(fetched):
        yield from map_patiently(
            lambda image: decode_fetched(image, card, settings, tally),
            fetched,
            _DECODERS,
            _BATCHES_AHEAD * settings.batch_size,
            seconds,
            lambda image: FailedImage(image.ref, _timed_out(Stage.DECODE, Status.DECODE_ERROR, seconds, tally)),
        )


def load_image(
    ref: ImageRef, card: ModelCard, settings: ExplainSettings, storage: Storage, tally: Tally
) -> LoadedImage | FailedImage:
    """One image alone, without an end to its patience."""
    return decode_fetched(fetch_image(ref, card, settings, storage, tally), card, settings, tally)


def fetch_image(
    ref: ImageRef, card: ModelCard, settings: ExplainSettings, storage: Storage, tally: Tally
) -> FetchedImage | FailedImage:
    """The bytes of one image, and the classes that are asked for."""
    targets = targets_of(ref, settings.targets, card.classes)
    if targets.failure and not targets.codes:
        return FailedImage(ref, targets.failure)
    with tally.timing("fetch"):
        version = storage.version_of_image(ref.uri) if settings.detect_changes else None
        try:
            encoded = storage.fetch(ref.uri, settings.limits.max_bytes, lambda _: tally.count("fetch_retries"))
        except ImageFailure as failure:
            return FailedImage(ref, failure, content_version=version)
    return FetchedImage(ref, targets, encoded, version)


def decode_fetched(
    fetched: FetchedImage | FailedImage, card: ModelCard, settings: ExplainSettings, tally: Tally
) -> LoadedImage | FailedImage:
    """Decode one image and bring it to the size of the model input; one that has failed stays as it is."""
    if isinstance(fetched, FailedImage):
        return fetched
    with tally.timing("decode"):
        ref, encoded, version = fetched.ref, fetched.encoded, fetched.content_version
        digest = hashlib.sha256(encoded).hexdigest()
        # A run without overlays decodes as one with the usual ones does, so that its numbers are the same.
        side = (settings.overlays or OverlaySettings()).max_side
        try:
            decoded = decode_image(encoded, settings.limits, (card.input_height, card.input_width), side)
        except ImageFailure as failure:
            return FailedImage(ref, failure, digest, len(encoded), content_version=version)
        placement = place(
            decoded.width, decoded.height, card.input_height, card.input_width, settings.resize, card.seen
        )
        photo = shrink(decoded, side) if settings.overlays else None
        model_input = resize_image(decoded, placement)
        return LoadedImage(ref, fetched.targets, digest, len(encoded), placement, model_input, photo, version)


def _timed_out(stage: Stage, status: Status, seconds: float, tally: Tally) -> ImageFailure:
    tally.count("timed_out")
    message = f"timed out: {stage} took more than {seconds:g} seconds; input.timeout can allow more"
    return ImageFailure(status, stage, message, "TimeoutError")
