"""Model files where TensorFlow can read them: on the local disk. No TensorFlow here."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transforms.model import ModelRefused, open_filesystem


@contextlib.contextmanager
def local_copy(url: str, storage: Mapping[str, dict[str, Any]]) -> Iterator[Path]:
    """A local path of the file or directory at ``url``; a copy, gone when the context ends, where it is remote.

    Raises:
        ModelRefused: there is nothing at ``url``, or it cannot be read.
    """
    try:
        filesystem, path = open_filesystem(url, storage)
        found = filesystem.exists(path)
    except (OSError, ImportError, ValueError) as error:
        raise ModelRefused(f"{url} cannot be read: {type(error).__name__}: {error}") from error
    if not found:
        raise ModelRefused(f"there is no model at {url}")
    if "file" in _protocols(filesystem):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-model-") as folder:
        copy = Path(folder) / path.rstrip("/").rsplit("/", 1)[-1]
        try:
            filesystem.get(path, str(copy), recursive=filesystem.isdir(path))
        except OSError as error:
            raise ModelRefused(f"{url} cannot be copied: {type(error).__name__}: {error}") from error
        yield copy


def _protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
