"""Messages between a worker process and a loader: pickles behind their length, and file descriptors.

The two ends trust each other: they are one program.
"""

import collections
import itertools
import os
import pickle
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

_LENGTH = struct.Struct("<Q")
_FD = struct.Struct("i")
_PIECE = 1 << 18  # bytes that are read at a time
_AT_ONCE = 64  # messages that are sent in one call of the kernel, where they fit


def pickled(message: Any) -> bytes:
    return pickle.dumps(message, 5)


class WorkerEnd:
    """The worker's end. It never waits, neither to send nor to hear: a loader may hang, and others must not."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._sending = threading.Lock()
        self._unsent: collections.deque[tuple[memoryview, list[int]]] = collections.deque()
        self._heard = bytearray()

    def fileno(self) -> int:
        return self._connection.fileno()

    def post(self, content: bytes, fd: int | None = None) -> None:
        """Have a pickled message, and behind it the file descriptor, sent by the next :meth:`flush`."""
        with self._sending:
            self._unsent.append((memoryview(_LENGTH.pack(len(content)) + content), []))
            if fd is not None:  # a copy: the file may be closed, and its number another's, before it goes
                self._unsent.append((memoryview(b"\0"), [os.dup(fd)]))

    def push(self, content: bytes, fd: int | None = None) -> None:
        """Send a pickled message, and behind it the file descriptor; what does not go now goes with :meth:`flush`."""
        self.post(content, fd)
        self.flush()

    def flush(self) -> bool:
        """Send what can be sent; returns whether that was all. A loader that is gone is noticed by who hears it."""
        if not self._unsent:
            return True
        with self._sending:
            while self._unsent:
                views, fds = self._next()
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
                try:
                    sent = self._connection.sendmsg(views, rights, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return False
                except OSError:
                    self._drop_unsent()
                    return True
                self._took(sent)
            return True

    def hear(self) -> Iterator[Any]:
        """The messages that are whole after one read; to be called where there is something to read.

        Raises:
            EOFError: the loader is gone, and half a message is at most what it left.
        """
        try:
            piece = self._connection.recv(_PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError from error
        if not piece:
            raise EOFError
        self._heard += piece
        position = 0
        while len(self._heard) - position >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._heard, position)
            begin = position + _LENGTH.size
            if len(self._heard) < begin + length:
                break
            yield pickle.loads(bytes(self._heard[begin : begin + length]))
            position = begin + length
        del self._heard[:position]

    def close(self) -> None:
        with self._sending:
            self._drop_unsent()
        self._connection.close()

    def _next(self) -> tuple[list[memoryview], list[int]]:
        """What goes in one call of the kernel, which costs more than a small message does."""
        first, fds = self._unsent[0]
        if fds:
            return [first], fds
        views = itertools.takewhile(lambda unsent: not unsent[1], itertools.islice(self._unsent, _AT_ONCE))
        return [view for view, _ in views], []

    def _took(self, sent: int) -> None:
        """So many bytes are gone, and the descriptors that went with the first of them."""
        while sent:
            view, fds = self._unsent.popleft()
            for fd in fds:
                os.close(fd)
            if sent < len(view):
                self._unsent.appendleft((view[sent:], []))
                return
            sent -= len(view)

    def _drop_unsent(self) -> None:
        for _, fds in self._unsent:
            for fd in fds:
                os.close(fd)
        self._unsent.clear()


class LoaderEnd:
    """The loader's end. Many threads may send, one receives; both wait."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._sending = threading.Lock()
        self._heard = bytearray()
        self._fds: collections.deque[int] = collections.deque()

    def send(self, message: Any) -> None:
        """Raises OSError where the worker process is gone."""
        content = pickled(message)
        with self._sending:
            self._connection.sendall(_LENGTH.pack(len(content)) + content)

    def receive(self) -> Any:
        """Raises EOFError where the worker process is gone."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return pickle.loads(self._exactly(length))

    def receive_fd(self) -> int:
        """The file descriptor behind the message that was received just now."""
        self._exactly(1)
        return self._fds.popleft()

    def _exactly(self, count: int) -> bytes:
        while len(self._heard) < count:
            self._hear()
        content = bytes(self._heard[:count])
        del self._heard[:count]
        return content

    def _hear(self) -> None:
        """Wait for more, and take all that is there: small messages come many at a time."""
        try:
            piece, rights, _, _ = self._connection.recvmsg(_PIECE, socket.CMSG_SPACE(_FD.size))
        except ConnectionError as error:
            raise EOFError from error
        if not piece:
            raise EOFError
        self._heard += piece
        # One at most: what is read at a time ends with the byte that a descriptor came with.
        self._fds.extend(_FD.unpack(right)[0] for _, _, right in rights)
