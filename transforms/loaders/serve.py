"""The loader's side: tasks in, answers out. One thread computes, others fetch and write."""

import collections
import functools
import hashlib
import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from transforms.explain import (
    ExplainedBatch,
    FailedImage,
    FetchedImage,
    ImageLoader,
    LoadedImage,
    Tally,
    batch_rows,
    draw_overlay,
    timed_out,
)
from transforms.loaders.channel import LoaderEnd
from transforms.loaders.fetching import Fetchers
from transforms.loaders.limits import limit_memory
from transforms.loaders.mark import Mark
from transforms.loaders.memory import SharedMemory
from transforms.loaders.messages import Answers, Close, Draw, Forget, Known, Load, MakeRows, Open, Ready, raised
from transforms.loaders.ring import slots_of
from transforms.loaders.stripping import NOTHING, stripped, with_pixels
from transforms.records import ImageFailure, Stage, Status

_TOGETHER = 8  # answers in one message, while there is more to do
_WRITERS = 8


class _Session:
    """A shard in this loader."""

    def __init__(self, opened: Open, memory: SharedMemory):
        self.id = opened.session
        self.seconds = opened.seconds
        self.memory_limit = opened.memory
        self.tally = Tally()
        self.loader: ImageLoader = opened.loader(**opened.fields, tally=self.tally)
        self.slots = slots_of(memory, opened.shape, opened.pixel_type)
        self.photos: dict[int, LoadedImage] = {}  # by the number of their Load
        self._memory = memory

    def close(self) -> None:
        self.photos.clear()
        self.slots = self.slots[:0]
        self._memory.close()


class Loader:
    """A loader process at work: :meth:`run` until the worker process is gone."""

    def __init__(self, channel: LoaderEnd, mark: Mark, fetchers: int):
        self._channel = channel
        self._mark = mark
        self._sessions: dict[int, _Session] = {}
        self._changed = threading.Condition()
        self._urgent: collections.deque[Draw | MakeRows] = collections.deque()
        self._fetched: collections.deque[tuple[Load, FetchedImage | FailedImage]] = collections.deque()
        self._unsent: list[tuple[int, Any]] = []
        self._fetchers = Fetchers(fetchers, self._stuck)
        self._writers = ThreadPoolExecutor(_WRITERS, "write")

    def run(self) -> None:
        threading.Thread(target=self._compute, daemon=True, name="compute").start()
        self._channel.send(Ready())
        while True:
            message = self._channel.receive()
            if isinstance(message, Open):
                memory = SharedMemory(self._channel.receive_fd(), message.ring_size)
                self._sessions[message.session] = _Session(message, memory)
                self._limit_memory()
            elif isinstance(message, Close):
                self._sessions.pop(message.session).close()
            else:
                self._take(message)

    def _take(self, task: Load | Draw | MakeRows | Forget) -> None:
        session = self._sessions.get(task.session)
        if session is None:  # it ended while the task was on its way
            return
        if isinstance(task, Load) and task.fetched is not None:
            self._decode_later(task, task.fetched)
        elif isinstance(task, Load):
            fetch = functools.partial(self._fetch, session, task)
            self._fetchers.submit(fetch, functools.partial(self._give_up, session, task), session.seconds)
        elif isinstance(task, Forget):
            session.photos.pop(task.image, None)
        else:
            with self._changed:
                self._urgent.append(task)
                self._changed.notify()

    def _fetch(self, session: _Session, task: Load) -> Callable[[], None]:
        """Returns what is to be done then."""
        try:
            fetched = session.loader.fetch(task.ref)
        except Exception as error:  # noqa: BLE001 - raised again in the worker process
            return functools.partial(self._answer, task.number, raised(error))
        return functools.partial(self._decode_later, task, fetched)

    def _decode_later(self, task: Load, fetched: FetchedImage | FailedImage) -> None:
        with self._changed:
            self._fetched.append((task, fetched))
            self._changed.notify()

    def _give_up(self, session: _Session, task: Load) -> None:
        failure = timed_out(Stage.FETCH, Status.FETCH_ERROR, session.seconds, session.tally)
        self._answer(task.number, FailedImage(task.ref, failure))

    def _stuck(self, error: BaseException) -> None:
        self._send([(0, raised(error))])

    def _compute(self) -> None:
        while True:
            with self._changed:
                while not self._urgent and not self._fetched:
                    self._flush()
                    self._changed.wait()
                task, fetched = (self._urgent.popleft(), None) if self._urgent else self._fetched.popleft()
            session = self._sessions.get(task.session)
            if session is None:  # nobody waits for it any more
                continue
            self._mark.begin(task.number)
            try:
                outcome = self._outcome(session, task, fetched)
            except SystemExit as left:
                os._exit(left.code if isinstance(left.code, int) else 1)
            except MemoryError:
                outcome = _too_large(task)
            except BaseException as error:  # noqa: BLE001 - raised again in the worker process
                outcome = raised(error)
            self._mark.end()
            if outcome is not None:
                self._answer(task.number, outcome)

    def _outcome(self, session: _Session, task: Load | Draw | MakeRows, fetched: Any) -> Any:
        if isinstance(task, Load):
            return self._decode(session, task, fetched)
        if isinstance(task, Draw):
            return self._draw(session, task)
        images = [with_pixels(image, session.slots[slot]) for image, slot in zip(task.images, task.slots, strict=True)]
        batch = ExplainedBatch(images, task.explanation)
        rows = batch_rows(batch, session.loader.card, session.loader.settings, session.tally)
        return _packed(rows)

    def _decode(self, session: _Session, task: Load, fetched: FetchedImage | FailedImage) -> LoadedImage | FailedImage:
        if task.is_suspect and isinstance(fetched, FetchedImage):
            digest, count = hashlib.sha256(fetched.encoded).hexdigest(), len(fetched.encoded)
            self._channel.send(Known(task.number, digest, count, fetched.content_version))
        image = session.loader.decode(fetched)
        if isinstance(image, FailedImage):
            return image
        session.slots[task.slot] = image.model_input
        if image.photo is not None:
            session.photos[task.number] = with_pixels(image, NOTHING)  # its photo alone
        return stripped(image)

    def _draw(self, session: _Session, task: Draw) -> Any:
        image = session.photos.pop(task.image, None)
        if image is None:  # the loader that had it is gone
            again = session.loader.load(task.ref)
            if isinstance(again, LoadedImage) and again.content_sha256 != task.content_sha256:
                message = "the image has changed since it was explained; explain it again"
                again = again.failed(ImageFailure(Status.FETCH_ERROR, Stage.FETCH, message, "ChangedImage"))
            if isinstance(again, FailedImage):
                return again
            image = again
        settings = session.loader.settings
        files = {uri: draw_overlay(image, cam, settings, session.tally) for uri, cam in task.overlays}
        if settings.archive is not None:
            return files
        self._writers.submit(self._write, session, task.number, files)
        return None

    def _write(self, session: _Session, number: int, files: dict[str, bytes]) -> None:
        outcome: Any = {}
        try:
            for uri, content in files.items():
                with session.tally.timing("write"):
                    session.loader.storage.put(uri, content, durable=False)  # an overlay can be made again
                session.tally.count("bytes_written", len(content))
        except Exception as error:  # noqa: BLE001 - raised again in the worker process
            outcome = raised(error)
        self._answer(number, outcome)

    def _answer(self, number: int, outcome: Any) -> None:
        with self._changed:
            self._unsent.append((number, outcome))
            if len(self._unsent) < _TOGETHER and (self._urgent or self._fetched):
                return  # the thread that computes has more to say soon
            self._flush()

    def _flush(self) -> None:
        """To be called with the lock."""
        if self._unsent:
            unsent, self._unsent = self._unsent, []
            self._send(unsent)

    def _send(self, outcomes: list[tuple[int, Any]]) -> None:
        tallies = [(session.id, *session.tally.drain()) for session in list(self._sessions.values())]
        try:
            self._channel.send(Answers(outcomes, tallies))
        except OSError:
            os._exit(0)  # nobody is left to hear it

    def _limit_memory(self) -> None:
        limit_memory(sum(session.memory_limit for session in self._sessions.values()))


def _packed(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def _too_large(task: Load | Draw | MakeRows) -> Any:
    if isinstance(task, MakeRows):
        return raised(MemoryError("not enough memory for the rows of a batch"))
    message = "not enough memory to decode it"
    return FailedImage(task.ref, ImageFailure(Status.TOO_LARGE, Stage.DECODE, message, "MemoryError"))
