"""A real server that misbehaves in every way."""

import gzip
import http.server
import socket
import struct
import threading
import time
from urllib.parse import unquote, urlsplit

import pytest

from transforms.records import ImageFailure, Status
from transforms.storage.access import Doors
from transforms.storage.storage import Storage

CONTENT = bytes(range(256)) * 40


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.command, self.path, dict(self.headers)))
        path, query = urlsplit(self.path).path, unquote(urlsplit(self.path).query)
        count = sum(request[1] == self.path for request in server.requests)
        if path.startswith("/status/"):
            self.reply(int(path.rsplit("/", 1)[1]), b"an error page")
        elif path == "/flaky":
            self.reply(500 if count == 1 else 200, CONTENT)
        elif path == "/busy":
            self.reply(429 if count == 1 else 200, CONTENT, {"Retry-After": "1"})
        elif path == "/cut" or (path == "/cut-once" and count == 1):
            self.reply(200, CONTENT[:100], {"Content-Length": str(len(CONTENT))})
            self.close_connection = True
        elif path == "/reset" and count <= 2:
            # Without lingering, closing sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RD)
            self.close_connection = True
        elif path == "/loop":
            self.reply(302, b"", {"Location": "/loop"})
        elif path == "/redirect":
            self.reply(302, b"", {"Location": query})
        elif path == "/loris":
            self.reply(200, b"", {"Content-Length": str(len(CONTENT))})
            for byte in CONTENT:
                if server.closing.wait(0.05):
                    return
                self.wfile.write(bytes([byte]))
        elif path == "/silent":
            server.closing.wait()
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            while not server.closing.is_set():
                self.wfile.write(CONTENT)
        elif path == "/gzip":
            self.reply(200, gzip.compress(bytes(10_000_000)), {"Content-Encoding": "gzip"})
        elif path == "/empty":
            self.reply(200, b"")
        else:
            self.reply(200, CONTENT)

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body)), "ETag": '"v1"'} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args):
        pass  # clients that hang up are what these tests are about


@pytest.fixture
def server():
    server = Server(("127.0.0.1", 0), Handler)
    server.requests, server.closing = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()


def storage_for(server, **options) -> Storage:
    return Storage(doors=Doors.of_manifest(f"{server.url}/manifest.csv"), **options)


def failure_of(storage: Storage, url: str, max_bytes: int = 10**6) -> ImageFailure:
    with pytest.raises(ImageFailure) as caught:
        storage.fetch(url, max_bytes)
    return caught.value


def test_fetch(server):
    assert storage_for(server).fetch(f"{server.url}/a.jpg", 10**6) == CONTENT
    assert [request[:2] for request in server.requests] == [("GET", "/a.jpg")]  # one request, no HEAD
    assert storage_for(server).fetch(f"{server.url}/empty", 10) == b""


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a b.jpg", "/set/a%20b.jpg"),
        ("a%20b.jpg", "/set/a%20b.jpg"),
        ("a#b.jpg", "/set/a%23b.jpg"),
        ("100%.jpg", "/set/100%25.jpg"),
        ("show?id=3&x=a b", "/set/show?id=3&x=a+b"),
        ("ünï.jpg", "/set/%C3%BCn%C3%AF.jpg"),
        ('[1]\'s "x".jpg', "/set/%5B1%5D's%20%22x%22.jpg"),
        ("a::b.jpg", "/set/a::b.jpg"),
        ("../other/a.jpg", "/other/a.jpg"),
    ],
)
def test_names_are_sent_as_they_should_be(server, name, sent):
    storage = storage_for(server)
    assert storage.fetch(storage.join(f"{server.url}/set", name), 10**6) == CONTENT
    assert server.requests[0][1] == sent


@pytest.mark.parametrize(
    ("status", "error_type", "requests"),
    [
        (404, "FileNotFoundError", 1),
        (410, "FileNotFoundError", 1),
        (401, "PermissionError", 1),
        (403, "PermissionError", 1),
        (400, "ClientResponseError", 1),
        (501, "ClientResponseError", 1),
        (503, "ClientResponseError", 3),
    ],
)
def test_statuses(server, status, error_type, requests):
    failure = failure_of(storage_for(server, attempts=3), f"{server.url}/status/{status}")
    assert (failure.status, failure.error_type) == (Status.FETCH_ERROR, error_type)
    assert str(status) in failure.message
    assert len(server.requests) == requests
    assert ("3 attempts" in failure.message) == (requests == 3)


@pytest.mark.parametrize("path", ["flaky", "cut-once", "busy"])
def test_what_gets_better_is_tried_again(server, path):
    heard = []
    start = time.perf_counter()
    assert storage_for(server).fetch(f"{server.url}/{path}", 10**6, heard.append) == CONTENT
    assert len(heard) == 1
    assert len(server.requests) == 2
    assert path != "busy" or time.perf_counter() - start >= 1  # Retry-After


def test_a_reset_connection_is_tried_again(server):
    heard = []
    assert storage_for(server).fetch(f"{server.url}/reset", 10**6, heard.append) == CONTENT
    assert len(server.requests) == 3
    assert len(heard) in (1, 2)  # aiohttp may repeat one request by itself


def test_a_cut_body_is_never_taken_for_whole(server):
    failure = failure_of(storage_for(server, attempts=2), f"{server.url}/cut")
    assert failure.error_type == "ClientPayloadError"
    assert "2 attempts" in failure.message


@pytest.mark.parametrize("path", ["loris", "silent"])
def test_a_server_that_never_comes_to_an_end_is_given_up(server, path):
    failure = failure_of(storage_for(server, timeout=0.9), f"{server.url}/{path}")
    assert failure.status == Status.FETCH_ERROR
    assert "timed out" in failure.message


def test_a_server_that_is_not_there(server):
    server.shutdown()
    server.server_close()
    failure = failure_of(storage_for(server, attempts=2), f"{server.url}/a.jpg")
    assert failure.error_type == "ClientConnectorError"
    assert "2 attempts" in failure.message


@pytest.mark.parametrize("path", ["a.jpg", "endless", "gzip"])
def test_the_limit_on_bytes_holds_while_reading(server, path):
    failure = failure_of(storage_for(server), f"{server.url}/{path}", max_bytes=9000)
    assert failure.status == Status.TOO_LARGE
    assert len(server.requests) == 1


def test_redirects_within_the_host_are_followed(server):
    assert storage_for(server).fetch(f"{server.url}/redirect?/a.jpg", 10**6) == CONTENT


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:{other}/a.jpg",
        "http://localhost:{port}/a.jpg",
        "//localhost:{port}/a.jpg",
        "http://0x7f000001:{port}/a.jpg",
        "http://127.1:{port}/a.jpg",
        "http://[::ffff:127.0.0.1]:{port}/a.jpg",
        "https://127.0.0.1:{port}/a.jpg",
        "file:///etc/passwd",
    ],
)
def test_redirects_to_forbidden_places_are_not(server, target):
    location = target.format(port=server.server_port, other=server.server_port ^ 1)
    doors = Doors(frozenset({"http"}), own_origins=frozenset({("127.0.0.1", server.server_port)}))
    failure = failure_of(Storage(doors=doors), f"{server.url}/redirect?{location}")
    assert failure.status == Status.FETCH_ERROR
    assert len(server.requests) == 1


def test_redirects_out_of_the_roots_are_not(server):
    storage = Storage(doors=Doors.of_manifest("/m.csv", roots=[f"{server.url}/redirect", f"{server.url}/set"]))
    assert storage.fetch(f"{server.url}/redirect?/set/a.jpg", 10**6) == CONTENT
    assert failure_of(storage, f"{server.url}/redirect?/private/a.jpg").error_type == "ForbiddenError"
    assert all("private" not in request[1] for request in server.requests if not request[1].startswith("/redirect"))


def test_endless_redirects_end(server):
    failure = failure_of(storage_for(server), f"{server.url}/loop")
    assert failure.status == Status.FETCH_ERROR


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
def test_a_private_host_is_refused_before_a_connection(server, host):
    failure = failure_of(Storage(), f"http://{host}:{server.server_port}/a.jpg")
    assert failure.error_type == "ForbiddenError"
    assert "input.allowed_roots" in failure.message
    assert server.requests == []


def test_a_chain_passes_the_same_doors(server):
    url = f"zip://a.jpg::http://localhost:{server.server_port}/x.zip"
    assert failure_of(Storage(), url).status == Status.FETCH_ERROR
    assert server.requests == []


def test_credentials_stay_out_of_messages(server):
    url = f"http://me:hunter2@127.0.0.1:{server.server_port}/status/404?X-Amz-Signature=hunter2"
    failure = failure_of(storage_for(server), url)
    assert "hunter2" not in failure.message
    assert "404" in failure.message


def test_options_reach_the_server(server):
    storage = storage_for(server, options={"http": {"headers": {"X-Key": "k"}}})
    storage.fetch(f"{server.url}/a.jpg", 10**6)
    assert server.requests[0][2]["X-Key"] == "k"


def test_the_version_of_an_image_is_its_etag(server):
    assert storage_for(server).version_of_image(f"{server.url}/manifest.csv") == f'{len(CONTENT)}-"v1"'
    assert Storage().version_of_image(f"{server.url}/manifest.csv") is None  # a private host


def test_manifests_of_private_hosts_can_be_read(server):
    # The config named it, so it is trusted.
    assert Storage().read(f"{server.url}/manifest.csv") == CONTENT
    assert Storage().exists(f"{server.url}/manifest.csv")
    assert not Storage().exists(f"{server.url}/status/404")


def test_many_threads_at_once(server):
    storage, results = storage_for(server), []

    def fetch(number: int) -> None:
        results.append(storage.fetch(f"{server.url}/{number}.jpg", 10**6) == CONTENT)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 32
