"""Files and folders for libraries that read nothing but the local disk."""

import contextlib
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transforms.storage.storage import Storage
from transforms.storage.uris import is_local, split


@contextlib.contextmanager
def local_copy(uri: str, storage: Storage) -> Iterator[Path]:
    """The path of the file or folder at ``uri``; where it is remote, of a copy of that name, gone with the context.

    Raises:
        FileNotFoundError: there is nothing at ``uri``.
        Exception: whatever else the library of the store raises; they share no ancestor.
    """
    if is_local(uri):
        yield storage.to_local(uri, Path())
        return
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as folder:
        name = posixpath.basename(split(uri)[1].rstrip("/"))
        yield storage.to_local(uri, Path(folder, name or "root of an archive"))
