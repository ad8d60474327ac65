"""The loader processes of a worker process: who gets what, and what happens when one dies."""

import collections
import dataclasses
import itertools
import logging
import selectors
import socket
import threading

from transforms.explain import Tally, timed_out
from transforms.loaders.blame import crashed, is_guilty, is_suspect
from transforms.loaders.channel import pickled
from transforms.loaders.messages import Answers, Close, Forget, Known, Open, Raised, Ready
from transforms.loaders.process import LoaderProcess, cause_of_death
from transforms.loaders.requests import LoadersFailed, Lost, Request
from transforms.machine import available_cpus
from transforms.records import Stage, Status
from transforms.storage import Storage

_LOOK_SECONDS = 0.2
_FAILED_STARTS = 4
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class _Session:
    """A shard, as the loaders are told of it when they get their first task of it."""

    opened: bytes
    ring: int  # file descriptor
    tally: Tally
    storage: Storage


class LoaderPool:
    """``count`` loader processes and the thread that listens to them. Thread-safe; shards share it."""

    def __init__(self, count: int):
        self.count = count
        self.fetchers = max(4, -(-max(16, 2 * available_cpus()) // count))  # in each: stores answer after 20 to 100 ms
        self._lock = threading.Lock()
        self._loaders: list[LoaderProcess] = []
        self._loads: collections.deque[Request] = collections.deque()
        self._urgent: collections.deque[Request] = collections.deque()  # what frees memory
        self._suspects: collections.deque[Request] = collections.deque()
        self._sessions: dict[int, _Session] = {}
        self._numbers = itertools.count(1)
        self._failed_starts = 0
        self._broken: LoadersFailed | None = None
        self._is_closing = False
        self._selector = selectors.DefaultSelector()
        self._wake, theirs = socket.socketpair()
        self._selector.register(theirs, selectors.EVENT_READ)
        self._woken = theirs
        # The loaders end with the thread that starts them: see transforms.loaders.limits.
        self._thread = threading.Thread(target=self._listen, daemon=True, name="loaders")
        self._thread.start()

    @property
    def ahead(self) -> int:
        """How many images are worth having on their way at a time."""
        return 2 * self.fetchers * self.count

    def number(self) -> int:
        return next(self._numbers)

    def pids(self) -> list[int]:
        """The process ids of the loaders that have started."""
        with self._lock:
            return [loader.pid for loader in self._loaders if loader.is_ready]

    def open(self, message: Open, ring: int, tally: Tally, storage: Storage) -> None:
        """A shard begins; ``ring`` is the file descriptor of its memory."""
        with self._lock:
            self._sessions[message.session] = _Session(pickled(message), ring, tally, storage)

    def close_session(self, session: int) -> None:
        """Forget a shard and whatever is still asked for it."""
        with self._lock:
            self._sessions.pop(session, None)
            for queue in (self._loads, self._urgent, self._suspects):
                kept = [request for request in queue if request.session != session]
                queue.clear()
                queue.extend(kept)
            for loader in self._loaders:
                if session in loader.sessions:
                    loader.sessions.remove(session)
                    loader.send(Close(session))
                for request in [one for one in loader.requests.values() if one.session == session]:
                    self._take_back(loader, request.number)

    def submit(self, *requests: Request) -> None:
        """Hand each request to a loader as soon as one can take it; its future will tell."""
        with self._lock:
            for request in requests:
                if self._broken:
                    request.settle(Raised(self._broken))
                else:
                    (self._loads if request.is_load else self._urgent).append(request)
            self._assign()

    def forget(self, holder: LoaderProcess, task: Forget) -> None:
        with self._lock:
            if holder in self._loaders:
                holder.send(task)

    def close(self) -> None:
        """End all loaders."""
        self._is_closing = True
        self._wake.send(b"\0")
        self._thread.join()

    # All that follows is called with the lock.

    def _assign(self) -> None:
        """Give away what can be given, and send it."""
        self._distribute()
        for loader in self._loaders:
            loader.channel.flush()

    def _distribute(self) -> None:
        idle = [loader for loader in self._loaders if loader.is_ready and not loader.requests]
        while idle and self._suspects:
            loader = idle.pop()
            loader.trying = self._suspects.popleft()
            self._give(loader, loader.trying)
        free = [loader for loader in self._loaders if loader.is_ready and loader.trying is None]
        for request in [self._urgent.popleft() for _ in range(len(self._urgent))]:
            if request.holder in free:
                self._give(request.holder, request)
            elif free and request.holder not in self._loaders:
                self._give(min(free, key=lambda one: len(one.requests)), request)
            else:
                self._urgent.append(request)  # its loader is trying something else
        while free and self._loads:
            loader = min(free, key=lambda one: one.loads)
            if loader.loads >= 2 * self.fetchers:
                break
            self._give(loader, self._loads.popleft())

    def _give(self, loader: LoaderProcess, request: Request) -> None:
        if request.session not in loader.sessions:
            session = self._sessions[request.session]
            loader.channel.post(session.opened, session.ring)
            loader.sessions.add(request.session)
        request.loader = loader
        loader.requests[request.number] = request
        loader.loads += request.is_load
        loader.patience = max(loader.patience, request.seconds)
        loader.channel.post(request.pickled)

    def _take_back(self, loader: LoaderProcess, number: int) -> Request | None:
        request = loader.requests.pop(number, None)
        if request is not None:
            loader.loads -= request.is_load
            if loader.trying is request:
                loader.trying = None
        return request

    # The thread that listens

    def _listen(self) -> None:
        try:
            while not self._is_closing:
                with self._lock:
                    self._start_missing()
                for key, events in self._selector.select(_LOOK_SECONDS):
                    if key.data is None:
                        self._woken.recv(64)
                    elif events & selectors.EVENT_READ:
                        self._hear(key.data)
                with self._lock:
                    self._look_after()
        except BaseException as error:
            with self._lock:
                self._break(f"the thread that looks after loader processes ended: {type(error).__name__}: {error}")
            raise
        finally:
            with self._lock:
                for loader in self._loaders:
                    self._selector.unregister(loader.channel)
                    loader.end()
                self._loaders.clear()
            self._selector.close()
            self._wake.close()
            self._woken.close()

    def _start_missing(self) -> None:
        while len(self._loaders) < self.count and not self._broken:
            try:
                loader = LoaderProcess(self.fetchers)
            except OSError as error:
                self._break(f"loader processes cannot be started: {error}")
                return
            self._selector.register(loader.channel, selectors.EVENT_READ, loader)
            self._loaders.append(loader)

    def _hear(self, loader: LoaderProcess) -> None:
        try:
            for message in loader.channel.hear():
                with self._lock:
                    self._take(loader, message)
        except EOFError:
            self._selector.unregister(loader.channel)
            code = loader.died()
            with self._lock:
                self._bury(loader, code)

    def _take(self, loader: LoaderProcess, message: Ready | Known | Answers) -> None:
        if isinstance(message, Ready):
            loader.is_ready = True
            self._failed_starts = 0
        elif isinstance(message, Known):
            if message.number in loader.requests:
                loader.requests[message.number].known = message
        else:
            for session, durations, events in message.tallies:
                if session in self._sessions:
                    self._sessions[session].tally.add(durations, events)
            for number, outcome in message.outcomes:
                request = self._take_back(loader, number)
                if request is not None:
                    request.settle(outcome)
                elif number == 0:
                    self._fail_all(outcome.error)
        self._assign()

    def _bury(self, loader: LoaderProcess, code: int) -> None:
        """Find out what a loader died of, and see to it that the rest of what it had is done by others."""
        at_work = loader.mark.read()
        self._loaders.remove(loader)
        loader.close()
        if loader.is_ready:
            self._say(loader, code, loader.requests.get(at_work))
        else:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                self._break(f"loader processes end before they have begun: the last {cause_of_death(code)}")
        again: list[Request] = []
        for request in loader.requests.values():
            if loader.overdue is not None:
                if request.number == loader.overdue:
                    tally = self._sessions[request.session].tally
                    request.settle(Lost(timed_out(Stage.DECODE, Status.DECODE_ERROR, request.seconds, tally)))
                else:
                    again.append(request)
            elif request is loader.trying and is_guilty(request, code):
                request.settle(Lost(crashed(code), request.known))
            elif request is loader.trying or is_suspect(request, at_work):
                request.suspect()
                self._suspects.append(request)
            else:
                again.append(request)
        self._loads.extendleft(reversed([request for request in again if request.is_load]))
        self._urgent.extendleft(reversed([request for request in again if not request.is_load]))
        self._assign()

    def _say(self, loader: LoaderProcess, code: int, request: Request | None) -> None:
        cause = "hung and was killed" if loader.overdue is not None else cause_of_death(code)
        what = ""
        if request is not None and request.uri is not None:
            what = f" at {self._sessions[request.session].storage.redact(request.uri)}"
        _log.warning("loader process %d %s%s; another takes its place", loader.pid, cause, what)

    def _look_after(self) -> None:
        """Kill what hangs, and send what could not be sent at once."""
        for loader in self._loaders:
            loader.channel.flush()
            number = loader.mark.read()
            seconds = loader.stopwatch.look(number)
            request = loader.requests.get(number)
            patience = loader.patience if request is None else request.seconds  # None: of a shard that has ended
            if number and seconds > patience and loader.overdue is None:
                loader.overdue = number
                loader.kill()  # that it is gone will be heard

    def _break(self, why: str) -> None:
        self._broken = LoadersFailed(f"{why}; run.loaders: 0 decodes in threads")
        self._fail_all(self._broken)

    def _fail_all(self, error: BaseException) -> None:
        waiting = [request for loader in self._loaders for request in loader.requests.values()]
        for request in (*waiting, *self._loads, *self._urgent, *self._suspects):
            request.settle(Raised(error))
        for queue in (self._loads, self._urgent, self._suspects):
            queue.clear()
