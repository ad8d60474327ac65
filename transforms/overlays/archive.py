"""The overlays of a shard in one tar: a thousand files instead of a million."""

import io
import tarfile
from collections.abc import Mapping


def member_uri(name: str, archive: str) -> str:
    """The URI, a chain of fsspec's, of a file in a tar: ``tar://NAME::URI``."""
    return f"tar://{name}::{archive}"


def member_of(uri: str) -> str:
    """The name of the file in its tar."""
    return uri.removeprefix("tar://").partition("::")[0]


def encode_tar(files: Mapping[str, bytes]) -> bytes:
    """An uncompressed tar; the same files give the same bytes, in whatever order they were made."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()
