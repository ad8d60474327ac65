"""Which URIs of a manifest may be fetched. A manifest comes from a stranger."""

import dataclasses
import ipaddress
import os
from collections.abc import Iterable

from transforms.records import ImageFailure, Stage, Status
from transforms.storage.uris import is_chained, is_local, local_path, same_store, scheme_of, schemes_of

_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenError(Exception):
    """The URI leads where images may not come from."""


@dataclasses.dataclass(frozen=True)
class Doors:
    """What may be fetched. Everything but http hosts of private networks, unless told otherwise.

    What holds: schemes and roots are checked for the URI and for every redirect; symbolic links are resolved before a
    local path is compared with a root; an http host that is, or resolves to, an address that is not public is refused
    at the moment of the connection, so a name cannot change its mind between check and use. What does not: behind an
    http proxy the proxy resolves names, so it has to refuse them; schemes such as ftp or sftp are checked by scheme
    and root only; a symbolic link that is swapped during the fetch is followed.
    """

    allowed_schemes: frozenset[str] | None = None  # None: any
    allowed_roots: tuple[str, ...] = ()  # folders; empty: any. An http root also opens its host, private or not
    own_origins: frozenset[tuple[str, int]] = frozenset()  # (host, port) open though private

    @classmethod
    def of_manifest(cls, manifest: str, schemes: Iterable[str] | None = None, roots: Iterable[str] = ()) -> "Doors":
        """The doors for a manifest: a local one may name any scheme, a remote one its own only, and its own host."""
        own = frozenset(schemes_of(manifest))
        allowed: frozenset[str] | None = None
        if schemes is not None:
            allowed = frozenset(schemes)
        elif not is_local(manifest):
            allowed = own.union({"data"}, *map(same_store, own))  # what the manifest holds itself leads nowhere
        origin = _origin(manifest)
        return cls(allowed, tuple(roots), frozenset([origin] if origin else []))

    def check(self, uri: str) -> None:
        """Raises ForbiddenError where ``uri`` may not be fetched. Names of hosts are checked when they are resolved."""
        for scheme in schemes_of(uri):
            if self.allowed_schemes is not None and scheme not in self.allowed_schemes:
                allowed = ", ".join(sorted(self.allowed_schemes - {"data"})) or "data"
                raise ForbiddenError(
                    f"scheme {scheme!r} is not allowed, only {allowed}; input.allowed_schemes can allow it"
                )
        if scheme_of(uri) == "data":
            return
        links = uri.split("::") if is_chained(uri) else [uri]
        if self.allowed_roots and not any(_is_below(links[-1], root) for root in self.allowed_roots):
            raise ForbiddenError(f"{links[-1]} is below none of input.allowed_roots: {', '.join(self.allowed_roots)}")
        for origin in filter(None, map(_origin, links)):
            try:
                ipaddress.ip_address(origin[0].partition("%")[0])
            except ValueError:
                continue  # a name: checked when it is resolved
            self.check_address(*origin, origin[0])

    def check_address(self, host: str, port: int, address: str) -> None:
        """Raises ForbiddenError where ``address``, to which ``host`` resolves, is not public and not allowed."""
        if is_public(address) or (host, port) in self.own_origins:
            return
        if any(_origin(root) == (host, port) for root in self.allowed_roots):
            return
        raise ForbiddenError(
            f"host {host!r} is {address}, a loopback, link-local or private address; "
            "a root of it in input.allowed_roots opens it"
        )


def check_bytes(count: int, max_bytes: int) -> None:
    """Raises ImageFailure, TOO_LARGE, where ``count`` bytes, perhaps not the last, are over the limit."""
    if count > max_bytes:
        message = f"{count:,} bytes or more; input.max_bytes is {max_bytes:,}"
        raise ImageFailure(Status.TOO_LARGE, Stage.FETCH, message, "TooManyBytes")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also where IPv6 wraps IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if wrapped is None and ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None and not is_public(str(wrapped)):
            return False
    return ip.is_global and not ip.is_multicast


def _origin(uri: str) -> tuple[str, int] | None:
    scheme = scheme_of(uri)
    if scheme not in _PORTS:
        return None
    # The parser of the client itself: two parsers that disagree on the host would be a way around the check.
    from yarl import URL

    try:
        url = URL(uri)
    except ValueError as error:
        raise ForbiddenError(f"not a URL: {error}") from None
    return (url.host or "").rstrip("."), url.port or _PORTS[scheme]


def _is_below(location: str, root: str) -> bool:
    if is_local(root):
        if not is_local(location):
            return False
        folder = os.path.realpath(local_path(root))
        return os.path.commonpath([folder, os.path.realpath(local_path(location))]) == folder
    if _origin(root) is not None:
        from yarl import URL

        wanted, allowed = URL(location), URL(root)
        folder = allowed.path.rstrip("/") + "/"
        return (
            _origin(location) == _origin(root)
            and wanted.scheme == allowed.scheme
            and (wanted.path + "/").startswith(folder)
        )
    return (location.rstrip("/") + "/").startswith(root.rstrip("/") + "/") and "/../" not in location + "/"
