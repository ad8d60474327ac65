"""Small files in which a job keeps its state, in a folder that others may write to: never more of them than expected,
and never longer than patience lasts. A mount that has died answers a read neither with bytes nor with an error."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from transforms.concurrency import Result
from transforms.errors import UserError
from transforms.patience import call_patiently
from transforms.storage.uris import is_local

if TYPE_CHECKING:
    from transforms.storage.storage import Storage

MOST_STATE = 1 << 24
"""Bytes of a file of state; those that a job writes have some kilobytes, with names of all classes a megabyte."""

_LISTING = 10  # times the patience for a file: a folder may hold a hundred thousand


class StateError(UserError):
    """A file of an output is not what it should be. The message names the file and says what to do."""


class NotAnsweringError(TimeoutError):
    """A file or folder that neither gives its content nor an error. The message names it."""


def read_state(uri: str, storage: "Storage", most: int = MOST_STATE) -> bytes:
    """The bytes of a small file that a job has written.

    Raises:
        FileNotFoundError: there is none.
        StateError: it has more than ``most`` bytes.
        NotAnsweringError: nothing came of it within the storage's time.
    """

    def read() -> bytes:
        with storage.open(uri) as file:
            return file.read(most + 1)

    content = patiently(read, uri, storage.timeout)
    if len(content) > most:
        raise StateError(
            f"{uri} has more than {most:,} bytes, which no file of its kind has: something else has written it; "
            "move it away"
        )
    return content


def list_files(folder: str, storage: "Storage") -> Iterator[str]:
    """As ``storage.walk``, but NotAnsweringError where the folder does not answer."""
    yield from patiently(lambda: list(storage.walk(folder)), folder, _LISTING * storage.timeout)


def patiently(work: Callable[[], Result], uri: str, seconds: float) -> Result:
    """``work()`` in a thread of its own, which is left behind where it takes longer.

    Raises:
        NotAnsweringError: it takes more than ``seconds``.
        Exception: whatever ``work`` raises.
    """
    try:
        return call_patiently(work, seconds)
    except NotAnsweringError:
        raise
    except TimeoutError as error:
        where = "the mount that it lies on may have died" if is_local(uri) else "look at the network and the store"
        raise NotAnsweringError(
            f"{uri} did not answer within {seconds:g} seconds: {where}; then run the same command again"
        ) from error
