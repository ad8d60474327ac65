"""A shard in the loader processes: its images in order, its rows and overlays, all bounded."""

import collections
import contextlib
import dataclasses
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.explain import (
    ExplainedBatch,
    FailedImage,
    FetchedImage,
    ImageLoader,
    LoadedImage,
    failed_rows,
    fetch_images,
    overlays_of,
    patience,
)
from transforms.loaders.limits import memory_of
from transforms.loaders.messages import Draw, Forget, Load, MakeRows, Open, Raised
from transforms.loaders.pool import LoaderPool
from transforms.loaders.requests import Lost, Request
from transforms.loaders.ring import Ring
from transforms.loaders.stripping import stripped
from transforms.records import ImageFailure, ImageRef

_BATCHES_AHEAD = 2  # loaded
FINISHING = 3  # batches whose rows are being made
_DRAWN_BEHIND = 64  # images
_BYTES_AHEAD = 64 << 20  # of encoded images that this process has fetched for its loaders
_TOGETHER = 8  # images that are asked for in one message, where nobody waits for them yet

_Source = ImageRef | FetchedImage | FailedImage


@dataclasses.dataclass(frozen=True, eq=False)
class HeldImage(LoadedImage):
    """An image whose model input lies in a slot of the ring, and whose photo in the loader that has decoded it."""

    number: int = 0
    slot: int = 0
    session: Any = None
    holder: Any = None

    def failed(self, failure: ImageFailure) -> FailedImage:
        """See LoadedImage; the slot and the photo are given up."""
        self.session.release(self)
        self.session.forget(self)
        return super().failed(failure)


@dataclasses.dataclass(frozen=True, eq=False)
class _Pending:
    """An image on its way, or one that has failed already and waits for its turn."""

    source: ImageRef | FailedImage
    slot: int = 0
    request: Request | None = None
    byte_count: int = 0  # that were sent along


class Session:
    """A context for one shard. ``load`` and ``finish`` stand for what threads do where there are no loaders."""

    def __init__(self, pool: LoaderPool, loader: ImageLoader):
        card, self._settings = loader.card, loader.settings
        self._pool = pool
        self._tally = loader.tally
        self._seconds = patience(loader.storage)
        self._id = pool.number()
        self._ahead = _BATCHES_AHEAD * self._settings.batch_size + pool.ahead
        # Beside those on their way: a batch that fills, one in the model, and those whose rows are being made.
        slots = self._ahead + (2 + FINISHING + 1) * self._settings.batch_size
        shape = (card.input_height, card.input_width, 3)
        self._ring = Ring(slots, shape, card.pixel_type)
        self._released: set[int] = set()
        self._lock = threading.Lock()
        self._drawn: collections.deque[tuple[HeldImage, Request]] = collections.deque()
        self._files: dict[str, bytes] = {}
        self._undrawn: list[FailedImage] = []
        self._reader = None if loader.containers is None else loader
        fields = {field.name: getattr(loader, field.name) for field in dataclasses.fields(loader)}
        del fields["tally"], fields["containers"]
        memory = memory_of(self._settings, slots)
        opened = Open(
            self._id, type(loader), fields, self._seconds, shape, card.pixel_type, self._ring.memory.size, memory
        )
        pool.open(opened, self._ring.memory.fd, self._tally, loader.storage)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.close_session(self._id)
        self._ring.close()

    def load(self, refs: Iterable[ImageRef]) -> Generator[LoadedImage | FailedImage]:
        """The images in order; as many are on their way as there is room for.

        What lies in larger files is read here, from the front to the back, and its bytes go to the loaders.
        """
        if self._reader is None:
            yield from self._load(refs)
            return
        with contextlib.closing(fetch_images(refs, self._reader)) as fetched:
            yield from self._load(fetched)

    def _load(self, sources: Iterable[_Source]) -> Generator[LoadedImage | FailedImage]:
        pending: collections.deque[_Pending] = collections.deque()
        unsent: list[Request] = []  # of these
        held = 0  # bytes of encoded images

        def settle() -> LoadedImage | FailedImage:
            nonlocal held
            first = pending.popleft()
            held -= first.byte_count
            return self._loaded(first, unsent)

        for source in sources:
            while len(pending) >= self._ahead or (pending and held > _BYTES_AHEAD):
                yield settle()
            if isinstance(source, FailedImage):
                pending.append(_Pending(source))
                continue
            slot = self._ring.take(wait=False)
            while slot is None and pending:
                yield settle()
                slot = self._ring.take(wait=False)
            if slot is None:  # until rows of earlier images are there
                slot = self._ring.take(wait=True)
            assert slot is not None
            asked = self._request(source, slot)
            pending.append(asked)
            held += asked.byte_count
            if asked.request is not None:
                unsent.append(asked.request)
            if len(unsent) >= _TOGETHER:
                self._submit(unsent)
        self._submit(unsent)
        while pending:
            yield settle()

    def _request(self, source: ImageRef | FetchedImage, slot: int) -> "_Pending":
        fetched = source if isinstance(source, FetchedImage) else None
        ref = source.ref if isinstance(source, FetchedImage) else source
        load = Load(self._pool.number(), self._id, ref, slot, is_suspect=False, fetched=fetched)
        return _Pending(ref, slot, Request(load, self._seconds), 0 if fetched is None else len(fetched.encoded))

    def _submit(self, unsent: list[Request]) -> None:
        self._pool.submit(*unsent)
        unsent.clear()

    def _loaded(self, pending: "_Pending", unsent: list[Request]) -> HeldImage | FailedImage:
        ref, slot, request = pending.source, pending.slot, pending.request
        if isinstance(ref, FailedImage):
            return ref
        assert request is not None
        if not request.future.done():
            self._submit(unsent)  # perhaps this one is among them
        outcome = _result(request.future)
        if isinstance(outcome, Lost):
            known = outcome.known
            outcome = FailedImage(ref, outcome.failure)
            if known is not None:
                outcome = dataclasses.replace(
                    outcome,
                    content_sha256=known.content_sha256,
                    byte_count=known.byte_count,
                    content_version=known.content_version,
                )
        if isinstance(outcome, FailedImage):
            self._ring.give_back(slot)
            return outcome
        fields = vars(outcome) | {"model_input": self._ring.slots[slot]}
        return HeldImage(**fields, number=request.number, slot=slot, session=self, holder=request.loader)

    def finish(self, batch: ExplainedBatch | FailedImage) -> pa.Table:
        """The rows of a batch or of a failed image; its overlays are on their way then."""
        if isinstance(batch, FailedImage):
            return failed_rows([batch], self._settings)
        images: list[HeldImage] = batch.images  # type: ignore[assignment]
        slots = [image.slot for image in images]
        task = MakeRows(self._pool.number(), self._id, [stripped(image) for image in images], slots, batch.explanation)
        rows = Request(task, self._seconds)
        drawn: list[tuple[HeldImage, Request]] = []
        for row, image in enumerate(images):
            overlays = [(uri, np.array(cam)) for uri, cam in overlays_of(image, batch.explanation, row, self._settings)]
            if overlays:
                drawn.append((image, self._drawing(image, overlays)))
            else:
                self.forget(image)
        self._pool.submit(rows, *(request for _, request in drawn))
        self._drawn += drawn
        try:
            table = _unpacked(_result(rows.future))
        finally:  # whoever waits for a slot would wait for ever
            for image in images:
                self.release(image)
        self._take_drawn(_DRAWN_BEHIND)
        return table

    def _drawing(self, image: HeldImage, overlays: list[tuple[str, np.ndarray]]) -> Request:
        task = Draw(self._pool.number(), self._id, image.number, image.ref, image.content_sha256, overlays)
        return Request(task, self._seconds, image.holder)

    def release(self, image: HeldImage) -> None:
        """Nobody looks at the model input any more."""
        with self._lock:
            if image.number in self._released:
                return
            self._released.add(image.number)
        self._ring.give_back(image.slot)

    def forget(self, image: HeldImage) -> None:
        """No overlay of the image will be asked for."""
        if self._settings.overlays is not None:
            self._pool.forget(image.holder, Forget(self._id, image.number))

    def settle(self, rows: pa.Table) -> tuple[pa.Table, dict[str, bytes]]:
        """Wait for the last overlay.

        Returns:
            The rows of the shard, those of images that could not be drawn replaced by failures, and the overlays
            for the tar by URI, where they go into one.
        """
        self._take_drawn(0)
        if self._undrawn:
            gone = pa.array([image.ref.image_id for image in self._undrawn])
            kept = rows.filter(pa.compute.invert(pa.compute.is_in(rows["image_id"], gone)))
            rows = pa.concat_tables([kept, failed_rows(self._undrawn, self._settings)])
        return rows, self._files

    def _take_drawn(self, behind: int) -> None:
        while True:
            with self._lock:
                if len(self._drawn) <= behind:
                    return
                image, request = self._drawn.popleft()
            outcome = _result(request.future)
            if isinstance(outcome, Lost):
                outcome = LoadedImage.failed(image, outcome.failure)
            with self._lock:
                if isinstance(outcome, FailedImage):
                    self._undrawn.append(outcome)
                else:
                    self._files.update(outcome)


def _result(future: Future[Any]) -> Any:
    outcome = future.result()
    if isinstance(outcome, Raised):
        raise outcome.error
    return outcome


def _unpacked(rows: bytes) -> pa.Table:
    return pa.ipc.open_stream(rows).read_all()
