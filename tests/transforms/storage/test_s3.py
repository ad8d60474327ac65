"""Storage over the real S3 protocol, with faults."""

import io
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

from s3_server import s3_server

from transforms.records import ImageFailure, Status
from transforms.storage.access import Doors
from transforms.storage.storage import Storage


@pytest.fixture(scope="module")
def s3():
    with s3_server("photos") as app:
        app.options = {
            "key": "AKIAHUNTER2",
            "secret": "hunter2hunter2",
            "client_kwargs": app.client_options(),
            "config_kwargs": {"retries": {"max_attempts": 0}},  # the retries under test are ours
        }
        app.storage = Storage({"s3": app.options}, Doors.of_manifest("s3://photos/manifest.csv"))
        yield app


@pytest.fixture(autouse=True)
def _healthy(s3):
    s3.busy, s3.hold = 0, lambda: None
    s3.requests.clear()


def failure_of(storage: Storage, uri: str, max_bytes: int = 1000) -> ImageFailure:
    with pytest.raises(ImageFailure) as caught:
        storage.fetch(uri, max_bytes)
    return caught.value


@pytest.mark.parametrize("name", ["a.jpg", "a b#?%20[1]'.jpg", "ünï-写真.jpg", "a::b.jpg", "x=1/y=2/part.parquet"])
def test_put_and_fetch(s3, name):
    uri = s3.storage.join("s3://photos/set", name)
    s3.storage.put(uri, b"content")
    s3.requests.clear()
    assert s3.storage.fetch(uri, 100) == b"content"
    assert [method for method, _ in s3.requests] == ["GET"]  # one request an image
    assert s3.storage.read(uri) == b"content"
    assert s3.storage.exists(uri)


def test_a_put_is_one_request(s3):
    s3.storage.put("s3://photos/one/a.jpg", bytes(1_000_000))
    assert s3.requests == [("PUT", "/photos/one/a.jpg")]


def test_more_requests_at_a_time_than_ten(s3):
    s3.storage.put("s3://photos/one/b.jpg", b"content")
    s3.hold = threading.Barrier(24, timeout=50).wait  # none is answered before all have come
    with ThreadPoolExecutor(24) as readers:
        assert set(readers.map(lambda _: s3.storage.fetch("s3://photos/one/b.jpg", 100), range(24))) == {b"content"}


def test_listing_sees_what_others_wrote(s3):
    s3.storage.put("s3://photos/list/a/1.jpg", b"x")
    assert list(s3.storage.walk("s3://photos/list")) == ["s3://photos/list/a/1.jpg"]
    other = Storage({"s3": s3.options | {"use_ssl": False}})  # a file system of its own, with its own cache
    other.put("s3://photos/list/a/2.jpg", b"x")
    assert list(s3.storage.walk("s3://photos/list")) == ["s3://photos/list/a/1.jpg", "s3://photos/list/a/2.jpg"]
    assert s3.storage.glob("s3://photos/list/*/2.jpg") == ["s3://photos/list/a/2.jpg"]
    assert list(s3.storage.walk("s3://photos/nothing")) == []


def test_the_version_is_the_etag(s3):
    uri = "s3://photos/version/a.jpg"
    s3.storage.put(uri, b"x")
    before = s3.storage.version_of_image(uri)
    s3.storage.put(uri, b"y")
    assert s3.storage.version_of_image(uri) != before
    assert before.startswith("1-")


def test_limits_and_empty_objects(s3):
    s3.storage.put("s3://photos/size/a.jpg", bytes(1000))
    s3.storage.put("s3://photos/size/empty.jpg", b"")
    assert len(s3.storage.fetch("s3://photos/size/a.jpg", 1000)) == 1000
    assert failure_of(s3.storage, "s3://photos/size/a.jpg", 999).status == Status.TOO_LARGE
    assert s3.storage.fetch("s3://photos/size/empty.jpg", 10) == b""


def test_what_is_missing_is_asked_for_once(s3):
    failure = failure_of(s3.storage, "s3://photos/none.jpg")
    assert (failure.status, failure.error_type) == (Status.FETCH_ERROR, "FileNotFoundError")
    assert [method for method, _ in s3.requests] == ["GET"]
    assert failure_of(s3.storage, "s3://no-such-bucket/a.jpg").error_type == "FileNotFoundError"


def test_a_busy_store_is_asked_again(s3):
    s3.storage.put("s3://photos/busy/a.jpg", b"x")
    s3.busy = 2
    assert s3.storage.fetch("s3://photos/busy/a.jpg", 10) == b"x"
    s3.busy = 2
    s3.storage.put("s3://photos/busy/b.jpg", b"y")
    assert s3.storage.fetch("s3://photos/busy/b.jpg", 10) == b"y"


def test_a_store_that_stays_busy_is_a_row(s3):
    s3.busy = 10**6
    impatient = Storage(s3.storage.options, s3.storage.doors, timeout=3, attempts=2)
    failure = failure_of(impatient, "s3://photos/busy/a.jpg")
    assert failure.status == Status.FETCH_ERROR
    assert "AKIAHUNTER2" not in failure.message


def test_a_slow_store_costs_no_more_than_the_timeout(s3):
    s3.storage.put("s3://photos/slow/a.jpg", b"x")
    s3.requests.clear()
    over = threading.Event()
    s3.hold = over.wait
    failure = failure_of(Storage(s3.storage.options, s3.storage.doors, timeout=0.5), "s3://photos/slow/a.jpg")
    over.set()
    assert len(s3.requests) <= 1  # which takes all of the time
    assert failure.error_type == "TimeoutError"
    assert "timed out" in failure.message


def test_an_archive_in_a_bucket(s3):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("set/a.jpg", b"zipped")
    s3.storage.put("s3://photos/x.zip", archive.getvalue())
    doors = Doors.of_manifest("s3://photos/m.csv", schemes=["s3", "zip"])
    assert Storage(s3.storage.options, doors).fetch("zip://set/a.jpg::s3://photos/x.zip", 100) == b"zipped"
    assert failure_of(s3.storage, "zip://set/a.jpg::s3://photos/x.zip").error_type == "ForbiddenError"
    assert list(s3.storage.walk("zip://::s3://photos/x.zip")) == ["zip://set/a.jpg::s3://photos/x.zip"]
