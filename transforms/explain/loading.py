"""Images from their URIs to model inputs: fetched by many threads, which mostly wait, decoded by one for each core."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Generator, Iterable

import numpy as np

from transforms.concurrency import map_patiently
from transforms.explain.settings import ExplainSettings
from transforms.explain.tally import Tally
from transforms.images import DecodedImage, decode_image, resize_image, shrink
from transforms.machine import available_cpus
from transforms.masks import FetchedMask, fetch_mask
from transforms.model import ModelCard, input_rows
from transforms.overlays import OverlaySettings
from transforms.placement import Placement
from transforms.records import MOST_BOXES, ImageFailure, ImageRef, Stage, Status
from transforms.statistics import TrueMask
from transforms.storage import SequentialReader, Storage
from transforms.targets import ImageTargets, label_index_of, targets_of

_DECODERS = available_cpus()
_FETCHERS = max(16, 2 * _DECODERS)  # object stores answer after 20 to 100 ms, however many ask at a time
_FETCHED_AHEAD = 2 * _FETCHERS  # encoded images
_BATCHES_AHEAD = 2  # decoded
_PATIENCE = 1.2  # of the storage's own time limit: a storage that gives up first says better what took so long


@dataclasses.dataclass(frozen=True, eq=False)
class FetchedImage:
    """One image as it is stored."""

    ref: ImageRef
    targets: ImageTargets
    encoded: bytes
    content_version: str | None  # as the store had it just before the fetch; None where nobody asks
    inputs: tuple[np.ndarray, ...] = ()  # the image's row of each other input of the model
    mask: FetchedMask | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedImage:
    """One image after fetch, decode and resize."""

    ref: ImageRef
    targets: ImageTargets
    content_sha256: str | None  # None: it came as pixels
    byte_count: int | None
    placement: Placement
    model_input: np.ndarray  # uint8, or uint16 where the model's card has 16 bits, [H, W, 3]
    photo: np.ndarray | None  # uint8 [h, w, 3], shrunk for the overlay; None where none is written
    content_version: str | None = None  # as the store had it just before the fetch; None where nobody asks
    inputs: tuple[np.ndarray, ...] = ()  # the image's row of each other input of the model
    mask: TrueMask | None = None  # where the manifest has one; its boxes are passed over then

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


@dataclasses.dataclass(frozen=True, eq=False)
class ImageLoader:
    """How the images of a job are fetched and decoded. Its methods may be called from many threads at a time."""

    card: ModelCard
    settings: ExplainSettings
    storage: Storage
    tally: Tally = dataclasses.field(default_factory=Tally)
    # Of the images that lie in larger files.
    containers: SequentialReader | None = dataclasses.field(default=None, kw_only=True)

    def load(self, ref: ImageRef) -> LoadedImage | FailedImage:
        """One image, fetched and decoded in this thread, however long that takes."""
        return self.decode(self.fetch(ref))

    def fetch(self, ref: ImageRef) -> FetchedImage | FailedImage:
        """The bytes of one image, and the classes that are asked for."""
        try:
            return self._fetch(ref)
        finally:
            if self.containers is not None:
                self.containers.let_go(ref)

    def fetched_before(self, ref: ImageRef) -> FetchedImage | FailedImage | None:
        """The same, where nothing has to be waited for: the image lies in a piece of a file that has been read."""
        settings = self.settings
        if self.containers is None or settings.detect_changes or settings.masks is not None:
            return None
        return self.fetch(ref) if self.containers.has_read(ref) else None

    def _fetch(self, ref: ImageRef) -> FetchedImage | FailedImage:
        targets = targets_of(ref, self.settings.targets, self.card.classes)
        if targets.failure and not targets.codes:
            return FailedImage(ref, targets.failure)
        if len(ref.boxes or ()) > MOST_BOXES:
            message = (
                f"{len(ref.boxes or ()):,} boxes on its lines of the manifest; at most {MOST_BOXES:,} are possible"
            )
            return FailedImage(ref, ImageFailure(Status.TOO_LARGE, Stage.TARGET, message, "TooManyBoxes"))
        try:
            inputs = self._inputs(ref)
        except ImageFailure as failure:
            return FailedImage(ref, failure)
        with self.tally.timing("fetch"):
            version = self.storage.version_of_image(ref.uri) if self.settings.detect_changes else None
            try:
                encoded = self.read(ref)
                mask = self._mask(ref)
            except ImageFailure as failure:
                return FailedImage(ref, failure, content_version=version)
        self.tally.count("bytes_read", len(encoded))
        return FetchedImage(ref, targets, encoded, version, inputs, mask)

    def _inputs(self, ref: ImageRef) -> tuple[np.ndarray, ...]:
        columns = self.settings.input_columns
        if columns is None:
            return ()
        rows = input_rows(self.card.inputs, dict(zip(columns, ref.extra, strict=False)))
        if self.card.contrast != "label":
            return rows
        label = label_index_of(ref, self.card.classes)
        return (*rows, np.array(-1 if label is None else label, np.int32))

    def read(self, ref: ImageRef) -> bytes:
        """The encoded image; raises ImageFailure."""
        if self.containers is not None:
            content = self.containers.fetch(ref, self.settings.limits.max_bytes)
            if content is not None:
                return content
        return self._bytes_at(ref.uri)

    def _bytes_at(self, uri: str) -> bytes:
        max_bytes = self.settings.limits.max_bytes
        return self.storage.fetch(uri, max_bytes, lambda _: self.tally.count("fetch_retries"))

    def _mask(self, ref: ImageRef) -> FetchedMask | None:
        column = self.settings.masks
        return None if column is None else fetch_mask(ref, column, self.storage.join, self._bytes_at)

    def decode(self, fetched: FetchedImage | FailedImage) -> LoadedImage | FailedImage:
        """Decode one image and bring it to the size of the model input; one that has failed stays as it is."""
        if isinstance(fetched, FailedImage):
            return fetched
        need = self.card.sampling.need(self.card.input_height, self.card.input_width)
        with self.tally.timing("decode"):
            encoded, digest = fetched.encoded, hashlib.sha256(fetched.encoded).hexdigest()
            try:
                decoded = decode_image(encoded, self.settings.limits, need, self._overlay_side, self.card.bits)
                mask = None
                if fetched.mask is not None:
                    mask = fetched.mask.decode(decoded.height, decoded.width, self.settings.limits)
            except ImageFailure as failure:
                version = fetched.content_version
                return FailedImage(fetched.ref, failure, digest, len(encoded), content_version=version)
            return dataclasses.replace(self.place(fetched, decoded, digest, len(encoded)), mask=mask)

    def place(
        self, fetched: FetchedImage, decoded: DecodedImage, digest: str | None, byte_count: int | None
    ) -> LoadedImage:
        """Bring a decoded image to the size of the model input, and to that of the overlay where one is written."""
        card = self.card
        placement = card.place(decoded.width, decoded.height)
        return LoadedImage(
            ref=fetched.ref,
            targets=fetched.targets,
            content_sha256=digest,
            byte_count=byte_count,
            placement=placement,
            model_input=resize_image(decoded, placement, card.sampling),
            photo=shrink(decoded, self._overlay_side) if self.settings.overlays else None,
            content_version=fetched.content_version,
            inputs=fetched.inputs,
        )

    @property
    def _overlay_side(self) -> int:
        # A run without overlays decodes as one with the usual ones does, so that its numbers are the same.
        return (self.settings.overlays or OverlaySettings()).max_side


def fetch_images(refs: Iterable[ImageRef], loader: ImageLoader) -> Generator[FetchedImage | FailedImage]:
    """The bytes of images ahead of the consumer, in order and bounded. A fetch that hangs costs its own image."""
    seconds = patience(loader.storage)
    return map_patiently(
        loader.fetch,
        refs,
        _FETCHERS,
        _FETCHED_AHEAD,
        seconds,
        lambda ref: FailedImage(ref, timed_out(Stage.FETCH, Status.FETCH_ERROR, seconds, loader.tally)),
        loader.fetched_before,
    )


def load_images(refs: Iterable[ImageRef], loader: ImageLoader) -> Generator[LoadedImage | FailedImage]:
    """Load images ahead of the consumer, in order and bounded. A fetch or a decode that hangs costs its own image."""
    seconds = patience(loader.storage)
    with contextlib.closing(fetch_images(refs, loader)) as fetched:
        yield from map_patiently(
            loader.decode,
            fetched,
            _DECODERS,
            _BATCHES_AHEAD * loader.settings.batch_size,
            seconds,
            lambda image: FailedImage(image.ref, timed_out(Stage.DECODE, Status.DECODE_ERROR, seconds, loader.tally)),
        )


def patience(storage: Storage) -> float:
    """Seconds that one fetch, or one decode, may take."""
    return _PATIENCE * storage.timeout


def timed_out(stage: Stage, status: Status, seconds: float, tally: Tally) -> ImageFailure:
    """Why an image fails that was waited for too long; counted."""
    tally.count("timed_out")
    message = f"timed out: {stage} took more than {seconds:g} seconds; input.timeout can allow more"
    return ImageFailure(status, stage, message, "TimeoutError")
