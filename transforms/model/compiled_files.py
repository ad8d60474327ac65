"""The files of a compiled model and their digests: a folder that others may write to holds what was compiled, or is not
loaded. No TensorFlow here."""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.storage import Storage, patiently, uris

_LONGER = 10  # times the patience for a small file
_REMEDY = "something has changed it since; run the same command again, which compiles the model from its source"


def digest_of(file: Any) -> str:
    """SHA-256 of a binary file, some at a time."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_all(digests: Mapping[str, str]) -> str:
    """One digest (32 hex digits) for the files of a model; empty where there are none."""
    if not digests:
        return ""
    return hashlib.blake2b(json.dumps(sorted(digests.items())).encode(), digest_size=16).hexdigest()


def digests_below(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256, of all files below a local folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = digest_of(file)
    return found


def changed_files(folder: str, digests: Mapping[str, str], storage: Storage) -> Iterator[str]:
    """What is wrong with a compiled model's files, each with its URI; nothing where they are as they were written."""
    for name, digest in digests.items():
        uri = uris.join(folder, name)
        try:
            if patiently(functools.partial(_digest_at, uri, storage), uri, _LONGER * storage.timeout) != digest:
                yield f"{uri} is not what was compiled"
        except FileNotFoundError:
            yield f"{uri} is missing"


def _digest_at(uri: str, storage: Storage) -> str:
    with storage.open(uri) as file:
        return digest_of(file)


def check_files(path: Path, folder: str, digests: Mapping[str, str]) -> None:
    """Look at a model's files on this machine before TensorFlow does.

    Args:
        path: where they are.
        folder: the URI that they come from, for the message.
        digests: of the files as they were compiled; others in the folder are not read by TensorFlow.

    Raises:
        ModelRefused: one of them is another or missing.
    """
    for name, digest in digests.items():
        uri, file = uris.join(folder, name), path / name
        if not file.is_file():
            raise ModelRefused(f"{uri} is missing: {_REMEDY}")
        with file.open("rb") as opened:
            if digest_of(opened) != digest:
                raise ModelRefused(f"{uri} is not the file that was compiled: {_REMEDY}")
