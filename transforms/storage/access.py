"""Which URIs of a manifest may be fetched. A manifest comes from a stranger.

What the door of each scheme checks, beside ``input.allowed_schemes`` (of all links of a chain) and the roots:

| scheme | private hosts | below a root | not checked |
|---|---|---|---|
| a path, file, local | | with links resolved | a link that is swapped during the fetch |
| http, https | address of each connection | host, port, path; redirects too | names that a proxy resolves |
| s3, gs, abfs, az and the like | in the config only | bucket and key | |
| ftp, sftp, ssh, smb, hdfs | all addresses, at first | host and path | an address that changes then; links there |
| webhdfs | all addresses, at first | host and path | the same, and where data nodes are |
| zip, tar, libarchive, tfrecord, parquet | those of the file | the file | members: nothing is unpacked |
| simplecache, filecache, blockcache, cached | those behind | those behind; no path of its own | |
| dir | those behind | refused | |
| reference, dask, generic | refused unless allowed_schemes names them | refused | where they lead |
| any other | all addresses, at first | as text | what its library does |

A root on a private host opens that host, and so does the manifest for its own. Dots are looked for after all escapes
are undone, with slashes of both kinds.
"""

import dataclasses
import os
import re
from collections.abc import Iterable

from transforms.records import ImageFailure, Stage, Status
from transforms.storage.hosts import addresses_of, climbs, is_address, is_public, origin_of
from transforms.storage.uris import (
    ARCHIVES,
    CACHES,
    CONTAINERS,
    Link,
    is_local,
    links_of,
    local_path,
    same_store,
    schemes_of,
)

# They may name any URI.
_LISTS = re.compile(r"\.(csv|tsv|txt|lst|jsonl|ndjson|json)(\.gz)?$", re.IGNORECASE)
_ANYWHERE = {"reference", "dask", "generic"}
_CHECKED_LATER = {"http", "https"}  # names: when they are connected to


class ForbiddenError(Exception):
    """The URI leads where images may not come from."""


@dataclasses.dataclass(frozen=True)
class Doors:
    """What may be fetched: everything but hosts of private networks, unless told otherwise. See the table above."""

    allowed_schemes: frozenset[str] | None = None  # None: any
    allowed_roots: tuple[str, ...] = ()  # folders; empty: any. A root on a host opens it, private or not
    own_origins: frozenset[tuple[str, int]] = frozenset()  # (host, port) open though private
    outer: "Doors | None" = None  # further doors, which must be open too

    @classmethod
    def of_manifest(cls, manifest: str, schemes: Iterable[str] | None = None, roots: Iterable[str] = ()) -> "Doors":
        """The doors for a manifest: a local one may name any scheme, a remote one its own only, and its own host."""
        own = frozenset(schemes_of(manifest))
        allowed: frozenset[str] | None = None
        if schemes is not None:
            allowed = frozenset(schemes) | _within(manifest)
        elif not is_local(manifest):
            allowed = own.union({"data"}, _within(manifest), *map(same_store, own))
        origin = _origin(links_of(manifest)[-1])
        return cls(allowed, tuple(roots), frozenset([origin] if origin else []))

    def within(self, outer: "Doors") -> "Doors":
        """These doors behind others: open is what both leave open."""
        return dataclasses.replace(self, outer=outer)

    def check(self, uri: str) -> None:
        """Raises ForbiddenError where ``uri`` may not be fetched. Names of hosts are checked when they are resolved."""
        if self.outer is not None:
            self.outer.check(uri)
        links = links_of(uri)
        for link in links:
            self._check_scheme(link.scheme)
        if links[-1].scheme == "data":
            return
        if self.allowed_roots:
            for place, link in enumerate(links):
                self._check_root(link, is_last=place == len(links) - 1)
        for link in links:
            origin = None if link.is_wrapper else _origin(link)
            if origin is None:
                continue
            if is_address(origin[0]):
                self.check_address(*origin, origin[0])
            elif link.scheme not in _CHECKED_LATER and not self._is_own(origin):
                for address in addresses_of(origin[0]):
                    self.check_address(*origin, address)

    def check_address(self, host: str, port: int, address: str) -> None:
        """Raises ForbiddenError where ``address``, to which ``host`` resolves, is not public and not allowed."""
        if self.outer is not None:
            self.outer.check_address(host, port, address)
        if is_public(address) or self._is_own((host, port)):
            return
        raise ForbiddenError(
            f"host {host!r} is {address}, a loopback, link-local or private address; "
            "a root of it in input.allowed_roots opens it"
        )

    def _check_scheme(self, scheme: str) -> None:
        if self.allowed_schemes is not None and scheme not in self.allowed_schemes:
            allowed = ", ".join(sorted(self.allowed_schemes - {"data"})) or "data"
            raise ForbiddenError(
                f"scheme {scheme!r} is not allowed, only {allowed}; input.allowed_schemes can allow it"
            )
        if self.allowed_schemes is None and scheme in _ANYWHERE:
            raise ForbiddenError(f"scheme {scheme!r} leads anywhere; input.allowed_schemes can allow it")

    def _check_root(self, link: Link, is_last: bool) -> None:
        if link.is_wrapper or link.scheme in _ANYWHERE:
            if is_last or not (link.scheme in ARCHIVES or (link.scheme in CACHES and not link.path)):
                raise ForbiddenError(
                    f"{link.text!r} in a chain may lead out of input.allowed_roots; an archive (zip, tar) or a cache "
                    "without a path may stand there"
                )
        elif not any(_is_below(link.text, root) for root in self.allowed_roots):
            raise ForbiddenError(f"{link.text} is below none of input.allowed_roots: {', '.join(self.allowed_roots)}")

    def _is_own(self, origin: tuple[str, int]) -> bool:
        roots = (links_of(root)[-1] for root in self.allowed_roots)
        return origin in self.own_origins or any(_origin(root) == origin for root in roots)


def check_bytes(count: int, max_bytes: int) -> None:
    """Raises ImageFailure, TOO_LARGE, where ``count`` bytes, perhaps not the last, are over the limit."""
    if count > max_bytes:
        message = f"{count:,} bytes or more; input.max_bytes is {max_bytes:,}"
        raise ImageFailure(Status.TOO_LARGE, Stage.FETCH, message, "TooManyBytes")


def _within(manifest: str) -> frozenset[str]:
    """Links to images inside the files that a manifest is, or that lie in its folder: we write them, not it."""
    return frozenset() if _LISTS.search(manifest.partition("?")[0]) else CONTAINERS


def _origin(link: Link) -> tuple[str, int] | None:
    try:
        return origin_of(link.scheme, link.text)
    except ValueError as error:
        raise ForbiddenError(f"not a URL: {error}") from None


def _is_below(location: str, root: str) -> bool:
    if is_local(root):
        if not is_local(location):
            return False
        folder = os.path.realpath(local_path(root))
        return os.path.commonpath([folder, os.path.realpath(local_path(location))]) == folder
    if climbs(location.partition("?")[0]):
        return False
    if links_of(root)[0].scheme in ("http", "https"):
        from yarl import URL

        try:
            wanted, allowed = URL(location), URL(root)
        except ValueError:
            return False
        return (wanted.scheme, wanted.host, wanted.port) == (allowed.scheme, allowed.host, allowed.port) and all(
            (path + "/").startswith(folder.rstrip("/") + "/")
            for path, folder in ((wanted.path, allowed.path), (wanted.raw_path, allowed.raw_path))
        )
    return (location.rstrip("/") + "/").startswith(root.rstrip("/") + "/")
