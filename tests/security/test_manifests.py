"""A manifest of a stranger reads what its config lets it read: every link of a chain, however it is spelled."""

import contextlib
import io
import itertools
import os
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fsspec.core import _un_chain
from hypothesis import given
from hypothesis import strategies as st

from transforms.records import ImageFailure
from transforms.storage import hosts
from transforms.storage.access import Doors, ForbiddenError
from transforms.storage.hosts import climbs, origin_of
from transforms.storage.storage import Storage
from transforms.storage.uris import links_of, schemes_of


def is_open(doors: Doors, uri: str) -> bool:
    try:
        doors.check(uri)
    except ForbiddenError:
        return False
    return True


@pytest.fixture
def folders(tmp_path):
    """A root with an archive, and a secret beside it."""
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    (root / "a.jpg").write_bytes(b"a picture")
    (secret / "key").write_bytes(b"a secret")
    for folder, content in ((root, b"zipped"), (secret, b"zipped secret")):
        with zipfile.ZipFile(folder / "x.zip", "w") as archive:
            archive.writestr("a.jpg", content)
    with zipfile.ZipFile(root / "outer.zip", "w") as archive:
        archive.writestr("x.zip", (root / "x.zip").read_bytes())
    (root / "ref.json").write_text(f'{{"a.jpg": ["file://{secret}/key"]}}')
    return root, secret


def guarded(root) -> Storage:
    return Storage(doors=Doors.of_manifest("/data/m.csv", roots=[str(root)]))


@pytest.mark.parametrize(
    ("uri", "content"),
    [
        ("{root}/a.jpg", b"a picture"),
        ("file://{root}/a.jpg", b"a picture"),
        ("zip://a.jpg::{root}/x.zip", b"zipped"),
        ("zip://a.jpg::file://{root}/x.zip", b"zipped"),
        ("zip://a.jpg::zip://x.zip::{root}/outer.zip", b"zipped"),
        ("simplecache::file://{root}/a.jpg", b"a picture"),
        ("zip://a.jpg::simplecache::file://{root}/x.zip", b"zipped"),
    ],
)
def test_chains_that_end_below_a_root_are_fetched(folders, uri, content):
    root, _ = folders
    assert guarded(root).fetch(uri.format(root=root), 1000) == content


@pytest.mark.parametrize(
    "uri",
    [
        "simplecache::file://{secret}/key::{root}/a.jpg",
        "filecache::file://{secret}/key::{root}/a.jpg",
        "blockcache::file://{secret}/key::{root}/a.jpg",
        "cached::file://{secret}/key::{root}/a.jpg",
        "simplecache::{secret}/key::{root}/a.jpg",
        "simplecache://{secret}/key::{root}/a.jpg",
        "simplecache://{secret}/key::file://{root}/a.jpg",
        "filecache://{secret}/key::{root}/a.jpg",
        "zip://a.jpg::{secret}/x.zip::{root}/x.zip",
        "zip://a.jpg::file://{secret}/x.zip::{root}/x.zip",
        "zip://a.jpg::simplecache://{secret}/x.zip::{root}/x.zip",
        "zip://a.jpg::simplecache::{secret}/x.zip::{root}/x.zip",
        "reference://a.jpg::{root}/ref.json",
        "reference::{root}/ref.json",
        "dir://{secret}::file://{root}",
        "dir://../secret/key::{root}",
        "dir::{root}",
        "zip://a.jpg::reference://a.jpg::{root}/ref.json",
        "zip://a.jpg::dask://x::{root}/x.zip",
        "zip://a.jpg::generic://{secret}/x.zip::{root}/x.zip",
        "zip://a.jpg::unknown::{root}/x.zip",
        "zip://a.jpg::simplecache",
        "zip://a.jpg::zip",
        "zip://{root}/a.jpg::zip://b",
        "zip://a.jpg::",
        "simplecache::",
        "generic://{root}/a.jpg",
        "dask://{root}/a.jpg",
        "local://{secret}/key",
        "FILE://{secret}/key",
        "file:{secret}/key",
        "{root}/../secret/key",
        "file://{root}/../secret/key",
        "zip://a.jpg::{root}/../secret/x.zip",
        "memory://{root}/a.jpg",
        "asynclocal://{root}/a.jpg",
    ],
)
def test_no_link_of_a_chain_leads_out_of_the_roots(folders, uri):
    root, secret = folders
    uri = uri.format(root=root, secret=secret)
    with pytest.raises(ImageFailure) as caught:
        guarded(root).fetch(uri, 1000)
    assert caught.value.error_type == "ForbiddenError"


LINKS = [
    "simplecache", "filecache", "blockcache", "zip", "zip://a.jpg", "dir", "dir://b", "reference", "reference://a",
    "simplecache://SECRET/key", "file://SECRET/x.zip", "SECRET/key", "tar://a.jpg", "dask", "generic://SECRET/key",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINKS), min_size=1, max_size=4), st.booleans())
def test_whatever_is_chained_no_secret_is_read(links, at_the_end):
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_temporary())
        root, secret = folder / "root", folder / "secret"
        root.mkdir()
        secret.mkdir()
        (secret / "key").write_bytes(b"a secret")
        (root / "a.jpg").write_bytes(b"a picture")
        for place in (root, secret):
            with zipfile.ZipFile(place / "x.zip", "w") as archive:
                archive.writestr("a.jpg", b"a secret" if place == secret else b"zipped")
        end = [f"{root}/x.zip"] if at_the_end else []
        uri = "::".join([*links, *end]).replace("SECRET", str(secret))
        try:
            content = guarded(root).fetch(uri, 1000)
        except ImageFailure:
            return
        assert b"secret" not in content


@contextlib.contextmanager
def _temporary():
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    "uri",
    [
        "zip://a.jpg::s3://bucket/x.zip", "simplecache::https://host/a.jpg", "zip://a::/etc/x.zip", "zip::file:///x",
        "zip://a::zip://b::file:///x", "blockcache::memory://x", "tar://a/b::simplecache::s3://b/k", "dir://a::file:///x",
        "zip://a::local:///x",
    ],
)  # fmt: skip
def test_the_checker_reads_a_chain_as_fsspec_opens_it(uri):
    opened = [{"local": "file"}.get(protocol, protocol) for _, protocol, _ in _un_chain(uri, {"s3": {}})]
    assert schemes_of(uri) == opened
    assert "::".join(link.text for link in links_of(uri)) == uri


# Dots

CLIMBING = [
    "..%2fpriv/x", "..%2Fpriv/x", "%2e%2e/priv/x", "%2e%2e%2fpriv/x", "..\\priv/x", "..%5cpriv/x", "%2e%2e%5Cpriv/x",
    "..%252fpriv/x", "%252e%252e%252fpriv/x", "%25252e%25252e/priv/x", "a/..%2f..%2fpriv/x", "a\\..\\..\\priv/x",
    "..;/priv/x", "..;a=b/priv/x", "%2e%2e%3b/priv/x", ".%2e/priv/x", "%2e./priv/x", "a/../../priv/x", "..", "a/%2e%2e",
    "..%20/priv/x", "a%00/../x",
]  # fmt: skip


@pytest.mark.parametrize("below", CLIMBING)
@pytest.mark.parametrize("root", ["http://10.0.0.5/pub", "https://example.org/pub/", "s3://bucket/pub", "gs://b/pub",
                                  "sftp://10.0.0.5/pub", "webhdfs://10.0.0.5:1/pub"])  # fmt: skip
def test_dots_are_refused_however_they_are_escaped(root, below):
    doors = Doors.of_manifest("/m.csv", roots=[root])
    assert is_open(doors, f"{root.rstrip('/')}/x")
    assert not is_open(doors, f"{root.rstrip('/')}/{below}")


@pytest.mark.parametrize(
    "below",
    ["a..b/x", "...", "x..", "..x/y", "a%20b", "100%.jpg", "a/.b/x", "%E5%86%99.jpg", "a/./b", "v2..3/x?y=../z"],
)
def test_dots_in_names_are_names(below):
    for root in ("http://10.0.0.5/pub", "s3://bucket/pub"):
        assert is_open(Doors.of_manifest("/m.csv", roots=[root]), f"{root}/{below}")


def test_what_is_escaped_without_end_is_refused():
    path = ".."
    for _ in range(20):
        path = path.replace("%", "%25").replace(".", "%2e")
    assert climbs(path)
    assert not climbs("a%20b")


@pytest.mark.parametrize(
    "uri",
    [
        "http://10.0.0.5/public/x", "http://10.0.0.5/%70ub2/x", "http://10.0.0.5:81/pub/x", "https://10.0.0.5/pub/x",
        "http://10.0.0.5/pub%2fx", "http://10.0.0.5@10.0.0.6/pub/x", "http://10.0.0.5\\@10.0.0.6/pub/x",
        "http://10.0.0.5#@10.0.0.6/pub/x", "http:///10.0.0.5/pub/x", "http://[::1/pub/x",
    ],
)  # fmt: skip
def test_other_places_are_not_below_an_http_root(uri):
    assert not is_open(Doors.of_manifest("/m.csv", roots=["http://10.0.0.5/pub"]), uri)


class Served(BaseHTTPRequestHandler):
    """Answers every path with itself, as a server does that undoes escapes only after it has looked at them."""

    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("below", CLIMBING)
def test_no_request_with_dots_leaves_for_an_http_server(below):
    server = HTTPServer(("127.0.0.1", 0), Served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/pub"
    storage = Storage(doors=Doors.of_manifest("/m.csv", roots=[root]))
    try:
        assert storage.fetch(f"{root}/x", 100) == b"/pub/x"
        with pytest.raises(ImageFailure, match="is below none of"):
            storage.fetch(f"{root}/{below}", 100)
    finally:
        server.shutdown()


# Private hosts

PRIVATE = ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "2130706433", "0x7f.1", "127.1", "0"]


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("scheme", ["ftp", "sftp", "ssh", "smb", "webhdfs", "hdfs", "unheard-of"])
def test_private_hosts_are_closed_for_every_scheme(scheme, host, monkeypatch):
    real = socket.getaddrinfo

    def resolve(name, *rest, **options):
        if name == "no-such-host.invalid":  # some networks take seconds to say so
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *rest, **options)

    monkeypatch.setattr(hosts.socket, "getaddrinfo", resolve)
    doors = Doors.of_manifest("/data/m.csv")
    for uri in (f"{scheme}://{host}/x", f"{scheme}://user:word@{host}:99/x", f"zip://a::{scheme}://{host}/x.zip"):
        assert not is_open(doors, uri), uri
    for uri in (f"{scheme}://8.8.8.8/x", f"{scheme}://no-such-host.invalid/x"):  # that one nobody connects to
        assert is_open(doors, uri), uri


@pytest.mark.parametrize(("scheme", "port"), [("ftp", 21), ("sftp", 22), ("smb", 445), ("webhdfs", 50070)])
def test_a_root_or_the_manifest_itself_opens_its_host(scheme, port):
    by_root = Doors.of_manifest("/data/m.csv", roots=[f"{scheme}://10.0.0.5/set"])
    assert is_open(by_root, f"{scheme}://10.0.0.5/set/a.jpg")
    assert not is_open(by_root, f"{scheme}://10.0.0.6/set/a.jpg")
    by_manifest = Doors.of_manifest(f"{scheme}://10.0.0.5/set/m.csv")
    assert is_open(by_manifest, f"{scheme}://10.0.0.5:{port}/other/a.jpg")
    assert not is_open(by_manifest, f"{scheme}://10.0.0.5:{port + 1}/a.jpg")
    assert not is_open(by_manifest, f"{scheme}://10.0.0.6/a.jpg")


def test_every_address_of_a_name_is_looked_at(monkeypatch):
    def resolve(host, *_, **__):
        return [(socket.AF_INET, 0, 0, "", (address, 0)) for address in names[host]]

    names = {"good.example": ["8.8.8.8"], "mixed.example": ["8.8.8.8", "10.0.0.1"], "v6.example": ["fe80::1%eth0"]}
    monkeypatch.setattr(hosts.socket, "getaddrinfo", resolve)
    doors = Doors.of_manifest("/data/m.csv")
    assert is_open(doors, "sftp://good.example/x")
    assert not is_open(doors, "sftp://mixed.example/x")
    assert not is_open(doors, "smb://v6.example/x")


@pytest.mark.parametrize("scheme", ["ftp", "sftp", "smb", "webhdfs"])
def test_nothing_is_connected_to_on_a_private_host(scheme):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.3)
        uri = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(ImageFailure, match="loopback, link-local or private") as caught:
            Storage(timeout=2).fetch(uri, 100)
        assert caught.value.error_type == "ForbiddenError"
        assert Storage(timeout=2).version_of_image(uri) is None
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    "uri",
    ["reference::http://8.8.8.8/ref.json", "reference://a::/data/ref.json", "dask://x/y", "generic://http://10.0.0.1/"],
)
def test_what_leads_anywhere_must_be_allowed_by_name(uri):
    assert not is_open(Doors.of_manifest("/data/m.csv"), uri)
    with pytest.raises(ForbiddenError, match=r"leads anywhere; input\.allowed_schemes can allow it"):
        Doors.of_manifest("/data/m.csv").check(uri)
    allowed = Doors.of_manifest("/data/m.csv", schemes=["reference", "dask", "generic", "http", "file"])
    assert is_open(allowed, uri)


@pytest.mark.parametrize(
    ("scheme", "uri", "origin"),
    [
        ("http", "http://Example.ORG./x", ("example.org", 80)),
        ("https", "https://u:p@[2001:db8::1]:8443/x", ("2001:db8::1", 8443)),
        ("ftp", "ftp://u:p@host/x", ("host", 21)),
        ("sftp", "sftp://u@host:2222/x", ("host", 2222)),
        ("s3", "s3://127.0.0.1/x", None),  # a bucket of that name, at the config's own endpoint
        ("file", "/etc/passwd", None),
    ],
)
def test_origins(scheme, uri, origin):
    assert origin_of(scheme, uri) == origin


def test_doors_within_doors_are_open_where_both_are(folders):
    root, secret = folders
    outer, inner = Doors(allowed_roots=(str(root),)), Doors(allowed_roots=(str(secret), str(root)))
    both = inner.within(outer)
    assert is_open(both, f"{root}/a.jpg")
    assert not is_open(both, f"{secret}/key")
    assert not is_open(Doors(allowed_roots=("http://10.0.0.5/",)).within(Doors()), "http://10.0.0.5/a")
    for doors, uri in itertools.product((outer, inner, both), ("/etc/passwd", "http://127.0.0.1/")):
        assert not is_open(doors, uri)


def test_a_fifo_below_a_root_does_not_hang(folders):
    root, _ = folders
    os.mkfifo(root / "fifo")
    with pytest.raises(ImageFailure, match="a FIFO, socket or device"):
        guarded(root).fetch(f"{root}/fifo", 100)


def test_an_archive_in_a_picture_is_read_by_member_only(folders):
    root, _ = folders
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../secret/key", b"no path outside: the name of a member")
    (root / "odd.zip").write_bytes(file.getvalue())
    content = guarded(root).fetch(f"zip://../secret/key::{root}/odd.zip", 1000)
    assert content == b"no path outside: the name of a member"
