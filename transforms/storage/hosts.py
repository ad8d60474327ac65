"""Hosts that URIs name, and whether their addresses are public."""

import ipaddress
import socket
from urllib.parse import unquote, urlsplit

from fsspec.utils import infer_storage_options

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_MOST_DECODINGS = 8

# Where a client connects when the URI says no port.
PORTS = {
    "http": 80, "https": 443, "ftp": 21, "sftp": 22, "ssh": 22, "smb": 445, "webhdfs": 50070, "hdfs": 8020,
    "arrow_hdfs": 8020, "viewfs": 8020,
}  # fmt: skip

# What stands where a host would is the name of a bucket, an account or a repository; or there is nothing to connect to.
WITHOUT_HOST = frozenset(
    {
        "file", "memory", "data", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "obs", "tos",
        "hf", "github", "git", "gist", "gdrive", "dropbox", "box", "pyfilesystem", "asynclocal",
    }
)  # fmt: skip


def origin_of(scheme: str, uri: str) -> tuple[str, int] | None:
    """Host and port that a client connects to for a URI; None where it names none.

    Raises:
        ValueError: it cannot be read.
    """
    if scheme in WITHOUT_HOST:
        return None
    # The parsers of the clients themselves: two that disagree on the host would be a way around the check.
    if scheme in ("http", "https"):
        from yarl import URL

        url = URL(uri)
        host, port = url.host, url.port
    else:
        options = infer_storage_options(uri)
        host, port = options.get("host"), options.get("port")
        if host and host.startswith("["):  # of IPv6 without a port fsspec makes half of it
            host = urlsplit(uri).hostname
    if not host:
        return None
    return host.strip("[]").rstrip(".").lower(), int(port or PORTS.get(scheme, 0))


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


def is_address(host: str) -> bool:
    """Whether a host is an IP address, not a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def addresses_of(host: str) -> list[str]:
    """The IP addresses that a name resolves to now; none where it does not: then nothing connects to it either."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (socket.gaierror, UnicodeError):
        return []


def climbs(path: str) -> bool:
    """Whether a path leads upwards, for any server: however often it is escaped, with slashes of either kind, and with
    the parameters that some take for a part of the name."""
    for _ in range(_MOST_DECODINGS):
        parts = path.replace("\\", "/").split("/")
        if any(part.partition(";")[0].strip() == ".." for part in parts) or "\0" in path:
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True  # nobody escapes a name so often
