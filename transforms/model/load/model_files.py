"""Model files from any store, and what goes wrong there as a refusal of the model. No TensorFlow here."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from transforms.model.errors import ModelRefused
from transforms.storage import Storage, local_copy


@contextlib.contextmanager
def local_model(url: str, storage: Storage) -> Iterator[Path]:
    """A local path of the file or folder at ``url``; a copy, gone when the context ends, where it is remote.

    Raises:
        ModelRefused: there is nothing at ``url``, or it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        with refused_where_unreadable(url, storage):
            path = stack.enter_context(local_copy(storage.absolute(url), storage))
        yield path


def content_digest(url: str, storage: Storage) -> str:
    """A digest of the bytes of a file, or of all the files in a directory and their relative paths.

    Raises:
        ModelRefused: there is nothing at ``url``, or it cannot be read.
    """
    with refused_where_unreadable(url, storage):
        return storage.digest(storage.absolute(url))


@contextlib.contextmanager
def refused_where_unreadable(url: str, storage: Storage) -> Iterator[None]:
    """The errors of a store as refusals of what lies at ``url``, without credentials."""
    try:
        yield
    except FileNotFoundError as error:
        raise ModelRefused(storage.redact(f"there is no model at {url}")) from error
    except Exception as error:  # the libraries of stores raise what they like
        raise ModelRefused(storage.redact(f"{url} cannot be read: {type(error).__name__}: {error}")) from error
