"""URIs of images, manifests and outputs: what is local, how names are joined, and what must not be shown.

A URI without a scheme is a local path, taken literally: nothing in it is a wildcard or an escape. ``file://`` goes
before a literal path too, as in fsspec, or ``file:`` alone, as Hadoop writes it. Chains such as
``zip://a.jpg::s3://bucket/x.zip`` are fsspec's; ``tfrecord://`` and ``parquet://`` in
front of a file are ours. ``data:image/png;base64,...`` is the image itself (RFC 2397).
"""

import dataclasses
import functools
import os
import re
from collections.abc import Mapping
from typing import Any

import fsspec

_DATA = r"(?i:(data)):(?=(?:[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+(?:=[^;,]*)?)*,)"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(?i:(file)):(?=/)|" + _DATA)
_LOCAL = ("file", "local")
CACHES = {"simplecache", "filecache", "blockcache", "cached"}  # they hand on the path of the link behind them
CONTAINERS = frozenset({"zip", "tar", "tfrecord", "parquet"})  # see transforms.storage.members
ARCHIVES = CONTAINERS | {"libarchive"}  # the path of such a link is a member of the file behind it
_WRAPPERS = {*ARCHIVES, *CACHES, "dir", "reference"}

ALIASES = (frozenset({"s3", "s3a"}), frozenset({"gs", "gcs"}), frozenset({"abfs", "abfss", "az"}))
"""Schemes that mean the same store."""

_SECRET = (
    r"[\w.-]*(?:signature|credential|secret|token|passw(?:or)?d|pwd|"
    r"api[_-]?key|account[_-]?key|access[_-]?key(?:[_-]?id)?)"
)
_REDACTIONS = (
    (re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/\s?#'\"]*@"), r"\1***@"),
    (re.compile(rf"(?i)(\b(?:{_SECRET}|sig|key|sas|auth)=)[^&\s'\"<>;,)]+"), r"\1***"),
    (re.compile(rf"(?i)(['\"]{_SECRET}['\"]\s*:\s*)(['\"])[^'\"]+\2"), r"\1\2***\2"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 ***"),
)


def scheme_of(uri: str) -> str:
    """The scheme in lower case; ``file`` for a local path."""
    match = _SCHEME.match(uri)
    scheme = (match[1] or match[2] or match[3]).lower() if match else "file"
    return "file" if scheme in _LOCAL else scheme


def is_local(uri: str) -> bool:
    return scheme_of(uri) == "file" and not is_chained(uri)


def is_chained(uri: str) -> bool:
    """Whether the file lies inside another: an archive, a cache. Elsewhere "::" is part of a name, or of an address."""
    first, separator, _ = uri.partition("::")
    return separator != "" and first.partition("://")[0] in _WRAPPERS


@dataclasses.dataclass(frozen=True)
class Link:
    """One link of a chain; a URI that is no chain is one link."""

    scheme: str  # in lower case; ``file`` for a local path
    text: str  # as it is written
    path: str  # behind the scheme; empty for a bare scheme, such as that of a cache

    @property
    def is_wrapper(self) -> bool:
        """It opens what the link behind it gives."""
        return self.scheme in _WRAPPERS


def links_of(uri: str) -> list[Link]:
    """The links of a chain, outermost first: the one reading of a URI, for who checks it and for who opens it.

    As fsspec reads it: a link without a path may be a bare scheme.
    """
    if not is_chained(uri):
        return [Link(scheme_of(uri), uri, local_path(uri))]
    protocols = _protocols()
    return [
        Link(text, text, "")
        if text in protocols or re.fullmatch("[a-z]+", text)
        else Link(scheme_of(text), text, local_path(text))
        for text in uri.split("::")
    ]


def schemes_of(uri: str) -> list[str]:
    """The schemes of all links of a chain, outermost first."""
    return [link.scheme for link in links_of(uri)]


@functools.cache
def _protocols() -> frozenset[str]:
    return frozenset(fsspec.available_protocols())


def same_store(scheme: str) -> frozenset[str]:
    """The schemes that lead where this one does, itself among them."""
    return next((group for group in ALIASES if scheme in group), frozenset({scheme}))


def local_path(uri: str) -> str:
    """The path of a local URI, as it is written."""
    match = _SCHEME.match(uri)
    return uri[match.end() :] if match else uri


def split(uri: str) -> tuple[str, str, str]:
    """A URI as (what stands before, the path in the store or archive that the file lies in, what stands after).

    >>> split("zip://models/m.keras::s3://bucket/a.zip")
    ('zip://', 'models/m.keras', '::s3://bucket/a.zip')
    """
    if is_chained(uri):
        link, separator, rest = uri.partition("::")
        if link.partition("://")[0] in CACHES:
            before, path, after = split(rest)
            return f"{link}{separator}{before}", path, after
        path = link.partition("://")[2]
        return link[: len(link) - len(path)], path, f"{separator}{rest}"
    path = local_path(uri)
    return uri[: len(uri) - len(path)], path, ""


def absolute(uri: str) -> str:
    """A local path made absolute, ``~`` expanded; any other URI without slashes at its end."""
    if is_local(uri):
        return os.path.abspath(os.path.expanduser(local_path(uri)))
    if scheme_of(uri) == "data":
        return uri
    stripped = uri.rstrip("/")
    return uri if is_chained(uri) or stripped.endswith(":") else stripped


def join(base: str, relative: str) -> str:
    """``relative`` below the folder ``base``; as it is where it has a scheme or, below a local folder, begins with "/".

    Below a remote folder a leading "/" means the root of the same host or bucket, never a local file. Below http a "#"
    belongs to the name, since no fragment reaches a server; "?" begins a query, and percent escapes stay what they are.
    """
    if _SCHEME.match(relative) or is_chained(relative):
        return relative
    folder = _local_folder(base)
    if folder is not None:
        return os.path.join(folder, relative)
    link, separator, rest = base.partition("::") if is_chained(base) else (base, "", "")
    scheme, _, path = link.partition("://")
    if scheme.lower() in ("http", "https"):
        relative = relative.replace("#", "%23")
    if relative.startswith("/"):
        path = path.partition("/")[0]
    below = "/".join(part for part in (path.rstrip("/"), relative.lstrip("/")) if part)
    return f"{scheme}://{below}{separator}{rest}"


@functools.lru_cache(maxsize=64)
def _local_folder(base: str) -> str | None:
    """The path of a local folder; None for a remote one. A manifest of a million lines asks a million times."""
    return local_path(base) if is_local(base) else None


def redact(text: str, options: Mapping[str, Any] | None = None) -> str:
    """``text`` without credentials: those of URLs and headers, and the secret values among storage ``options``."""
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    for secret in _secrets(options or {}):
        text = text.replace(secret, "***")
    return text


def names_a_secret(name: str) -> bool:
    """Whether the storage option of that name holds a secret."""
    return re.search(rf"(?i){_SECRET}|^key$|^sas", name) is not None


def _secrets(options: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for key, value in options.items():
        if isinstance(value, Mapping):
            found += _secrets(value)
        elif isinstance(value, str) and len(value) >= 4 and names_a_secret(str(key)):
            found.append(value)
    return found
