"""Images that a run has explained, loaded once more: only while they are what they were, as patiently as in the job."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Generator, Iterable

from transforms.concurrency import map_patiently
from transforms.explain.loading import (
    _DECODERS,
    _FETCHERS,
    _PATIENCE,
    FailedImage,
    FetchedImage,
    LoadedImage,
    _timed_out,
    decode_fetched,
    fetch_image,
)
from transforms.explain.settings import ExplainSettings
from transforms.explain.tally import Tally
from transforms.model import ModelCard
from transforms.records import ImageFailure, ImageRef, Stage, Status
from transforms.storage import Storage

_AHEAD = 2  # images for each thread


@dataclasses.dataclass(frozen=True)
class Explained:
    """An image that has rows."""

    ref: ImageRef
    content_sha256: str | None  # of the bytes that were explained


def reload_images(
    images: Iterable[Explained], card: ModelCard, settings: ExplainSettings, storage: Storage, tally: Tally
) -> Generator[LoadedImage | FailedImage]:
    """Load images again, in order. One whose bytes are others by now fails before anything decodes them; a fetch or a
    decode that hangs costs its own image."""
    seconds = _PATIENCE * storage.timeout

    def fetch(image: Explained) -> FetchedImage | FailedImage:
        fetched = fetch_image(image.ref, card, settings, storage, tally)
        if isinstance(fetched, FetchedImage):
            digest = hashlib.sha256(fetched.encoded).hexdigest()
            if digest != image.content_sha256:
                message = "the image has changed since the run; explain it again"
                failure = ImageFailure(Status.FETCH_ERROR, Stage.FETCH, message, "ChangedImage")
                return FailedImage(image.ref, failure, digest, len(fetched.encoded))
        return fetched

    fetched = map_patiently(
        fetch,
        images,
        _FETCHERS,
        _AHEAD * _FETCHERS,
        seconds,
        lambda image: FailedImage(image.ref, _timed_out(Stage.FETCH, Status.FETCH_ERROR, seconds, tally)),
    )
    with contextlib.closing(fetched):
        yield from map_patiently(
            lambda image: decode_fetched(image, card, settings, tally),
            fetched,
            _DECODERS,
            _AHEAD * _DECODERS,
            seconds,
            lambda image: FailedImage(image.ref, _timed_out(Stage.DECODE, Status.DECODE_ERROR, seconds, tally)),
        )
