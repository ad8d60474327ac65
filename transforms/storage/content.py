"""Which bytes are these? A digest of files, by what their store tells of them or else by reading them."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import IO, Any

_CHUNK = 1 << 22
# What object stores tell of the content of an object, so that it need not be read.
_CONTENT_TAGS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5")
# What the file systems of fsspec call the fact that a file is another than before.
_VERSION_FACTS = ("ETag", "etag", "Last-Modified", "LastModified", "last_modified", "updated", "created", "date_time")


def digest_of_files(files: Iterable[tuple[str, str]]) -> str:
    """A digest (32 hex digits) of (path below a folder, or "" for the folder itself; identity of the content) pairs."""
    digest = hashlib.blake2b(digest_size=16)
    for path, identity in files:
        digest.update(f"{path}\0{identity}\0".encode())
    return digest.hexdigest()


def digest_of_bytes(file: IO[bytes]) -> str:
    """A digest (32 hex digits) of what is left to read in ``file``."""
    digest = hashlib.blake2b(digest_size=16)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def known_identity(facts: Mapping[str, Any]) -> str | None:
    """A file's content, identified by what fsspec's ``info`` tells of it; None where the store has no checksum."""
    tags = [f"{tag}={facts[tag]}" for tag in _CONTENT_TAGS if facts.get(tag)]
    return f"{facts.get('size')} {' '.join(tags)}" if tags else None


def version_of(facts: Mapping[str, Any]) -> str:
    """A text that changes when the content does: size and ETag, or size and time, as the store has them."""
    changing = next((facts[key] for key in _VERSION_FACTS if facts.get(key)), "")
    return f"{facts.get('size')}-{changing}"
