"""Local files, memory and archives: names, limits, and writes that are whole or not there."""

import importlib
import io
import itertools
import os
import pickle
import stat
import threading
import zipfile
from typing import ClassVar

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from transforms.records import ImageFailure, Stage, Status
from transforms.storage import uris
from transforms.storage.access import Doors
from transforms.storage.remote_files import RemoteFiles
from transforms.storage.storage import Storage

STORAGE = Storage()
NAMES = [
    "plain.jpg", "a b.jpg", "it's.jpg", 'say "x".jpg', "a#b.jpg", "a?b.jpg", "100%.jpg", "a%20b.jpg", "[1].jpg",
    "*.jpg", "ünï-写真.jpg", "new\nline.jpg", "a::b.jpg", "a&b;c.jpg", "{x}.jpg", "~tilde.jpg", "-dash.jpg",
    "back\\slash.jpg",
]  # fmt: skip


def failure_of(uri: str, max_bytes: int = 1000, storage: Storage = STORAGE) -> ImageFailure:
    with pytest.raises(ImageFailure) as caught:
        storage.fetch(str(uri), max_bytes)
    assert caught.value.stage == Stage.FETCH
    return caught.value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_local_names_are_taken_literally(tmp_path, name, prefix):
    uri = STORAGE.join(f"{prefix}{tmp_path}", f"sub/{name}")
    STORAGE.put(uri, name.encode())
    assert (tmp_path / "sub" / name).read_bytes() == name.encode()
    assert STORAGE.fetch(uri, 100) == name.encode()
    assert STORAGE.read(uri) == name.encode()
    assert STORAGE.exists(uri)
    assert not STORAGE.is_directory(uri)
    assert list(STORAGE.walk(f"{prefix}{tmp_path}")) == [f"{tmp_path}/sub/{name}"]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_memory_and_in_archives(name):
    uri = STORAGE.join("memory://names", name)
    STORAGE.put(uri, b"x")
    assert STORAGE.fetch(uri, 100) == b"x"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(f"in/{name}", b"zipped")
    STORAGE.put(f"memory://archive-{NAMES.index(name)}.zip", archive.getvalue())
    if "::" not in name:
        base = f"zip://in::memory://archive-{NAMES.index(name)}.zip"
        assert STORAGE.fetch(STORAGE.join(base, name), 100) == b"zipped"
        assert [STORAGE.fetch(uri, 100) for uri in STORAGE.walk(base)] == [b"zipped"]


def test_surrogates_of_undecodable_names(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")
    with open(path, "wb") as file:
        file.write(b"x")
    assert STORAGE.fetch(os.fsdecode(path), 10) == b"x"


def test_missing_files_and_folders(tmp_path):
    failure = failure_of(tmp_path / "none.jpg")
    assert (failure.status, failure.error_type) == (Status.FETCH_ERROR, "FileNotFoundError")
    assert "none.jpg" in failure.message
    assert failure_of(tmp_path).error_type == "IsADirectoryError"
    assert failure_of("memory://nowhere/a.jpg").error_type == "FileNotFoundError"
    assert "nul" in failure_of("/tmp/a\0b").message.lower()
    assert list(STORAGE.walk(str(tmp_path / "none"))) == []
    assert list(STORAGE.walk("memory://nowhere")) == []
    assert not STORAGE.exists(str(tmp_path / "none"))


def test_nothing_that_could_hang_is_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link to fifo").symlink_to(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "not a regular file" in failure_of(tmp_path / "fifo").message
    assert "not a regular file" in failure_of(tmp_path / "link to fifo").message
    assert "not a regular file" in failure_of("/dev/zero").message
    assert "symbolic links" in failure_of(tmp_path / "loop").message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "a.jpg").chmod(0)
    assert failure_of(tmp_path / "a.jpg").error_type == "PermissionError"


def test_the_limit_on_bytes_holds_while_reading(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(1000))
    with open(tmp_path / "sparse.jpg", "wb") as file:
        file.truncate(2**40)
    STORAGE.put("memory://limit/a.jpg", bytes(1000))
    for uri in (f"{tmp_path}/a.jpg", "memory://limit/a.jpg"):
        assert len(STORAGE.fetch(uri, 1000)) == 1000
        failure = failure_of(uri, 999)
        assert (failure.status, failure.error_type) == (Status.TOO_LARGE, "TooManyBytes")
        assert "1,000 bytes or more; input.max_bytes is 999" in failure.message
    assert failure_of(tmp_path / "sparse.jpg", 2**20).status == Status.TOO_LARGE
    assert failure_of("/proc/self/status", 10).status == Status.TOO_LARGE  # it says that it has 0 bytes
    assert STORAGE.fetch("/proc/self/status", 10**6).startswith(b"Name:")


def test_unknown_schemes_name_themselves():
    message = failure_of("nonsense://a/b.jpg").message
    assert message == "Protocol not known: nonsense; install the fsspec package for it, or correct the scheme"


def test_percent_escapes_of_a_file_uri_are_explained(tmp_path):
    (tmp_path / "a b.jpg").write_bytes(b"x")
    message = failure_of((tmp_path / "a b.jpg").as_uri()).message
    assert "a%20b.jpg" in message
    assert "write the name itself in place of percent escapes" in message
    assert "the name itself" not in failure_of(tmp_path / "c%20d.jpg").message


def test_the_doors_are_asked(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    guarded = Storage(doors=Doors.of_manifest("s3://bucket/m.csv"))
    failure = failure_of(tmp_path / "a.jpg", storage=guarded)
    assert (failure.status, failure.error_type) == (Status.FETCH_ERROR, "ForbiddenError")
    assert guarded.read(str(tmp_path / "a.jpg")) == b"x"  # what the config names is trusted


def test_a_hanging_synchronous_store_is_left_behind(monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    STORAGE.put("memory://slow/a.jpg", b"x")
    release = threading.Event()
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda *_, **__: release.wait())
    failure = failure_of("memory://slow/a.jpg", storage=Storage(timeout=0.3))
    release.set()
    assert failure.error_type == "TimeoutError"
    assert "timed out" in failure.message


def test_writes_are_whole_or_not_there(tmp_path, monkeypatch):
    uri = f"{tmp_path}/part.parquet"
    STORAGE.put(uri, b"old")

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        STORAGE.put(uri, b"new")
    assert STORAGE.read(uri) == b"old"
    assert os.listdir(tmp_path) == ["part.parquet"]
    STORAGE.put(uri, b"new", durable=False)
    assert STORAGE.read(uri) == b"new"
    assert not stat.S_IMODE(os.stat(uri).st_mode) & 0o111


def test_readers_never_see_half_a_file(tmp_path):
    uri = f"{tmp_path}/a.bin"
    contents = [bytes([value]) * 2_000_000 for value in range(8)]
    STORAGE.put(uri, contents[0])
    done = threading.Event()

    def write() -> None:
        for content in itertools.cycle(contents):
            STORAGE.put(uri, content, durable=False)
            if done.is_set():
                return

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = []
    try:
        while len(seen) < 100 or len(set(seen)) < 2:
            content = STORAGE.read(uri)
            assert content in contents
            seen.append(content[0])
    finally:
        done.set()
        for writer in writers:
            writer.join()
    assert os.listdir(tmp_path) == ["a.bin"]


def test_temporary_files_of_the_dead_are_invisible_and_swept(tmp_path, monkeypatch):
    STORAGE.put(f"{tmp_path}/sub/a.parquet", b"x")

    def die(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        patch.setattr(os, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            STORAGE.put(f"{tmp_path}/sub/b.parquet", b"y")
    assert len(os.listdir(tmp_path / "sub")) == 2
    assert list(STORAGE.walk(str(tmp_path))) == [f"{tmp_path}/sub/a.parquet"]
    assert STORAGE.glob(f"{tmp_path}/sub/*") == [f"{tmp_path}/sub/a.parquet"]
    assert STORAGE.sweep(str(tmp_path)) == 0  # it may belong to a writer that lives
    assert STORAGE.sweep(str(tmp_path), older_than=-1) == 1
    assert os.listdir(tmp_path / "sub") == ["a.parquet"]


def test_walk_and_glob(tmp_path):
    for base in (str(tmp_path), "memory://walk"):
        for name in ("b/2.jpg", "b/1.jpg", "a.jpg", ".hidden/x.jpg", "b/.x.jpg", "c.txt"):
            STORAGE.put(f"{base}/{name}", b"x")
        assert list(STORAGE.walk(base)) == [
            f"{base}/{name}" for name in ("a.jpg", "c.txt", "b/1.jpg", "b/2.jpg")
        ] or list(STORAGE.walk(base)) == [f"{base}/{name}" for name in ("a.jpg", "b/1.jpg", "b/2.jpg", "c.txt")]
        assert STORAGE.glob(f"{base}/*.jpg") == [f"{base}/a.jpg"]
        assert STORAGE.glob(f"{base}/**/*.jpg")[-2:] == [f"{base}/b/1.jpg", f"{base}/b/2.jpg"]
        assert STORAGE.is_directory(f"{base}/b")


def test_a_listing_is_never_stale():
    STORAGE.put("memory://fresh/1", b"x")
    assert len(list(STORAGE.walk("memory://fresh"))) == 1
    STORAGE.put("memory://fresh/2", b"x")
    assert len(list(STORAGE.walk("memory://fresh"))) == 2


def test_the_version_changes_with_the_content(tmp_path):
    for uri in (f"{tmp_path}/a.jpg", "memory://version/a.jpg"):
        STORAGE.put(uri, b"x")
        before = STORAGE.version_of_image(uri)
        assert before is not None
        assert STORAGE.version_of_image(uri) == before
        STORAGE.put(uri, b"yz")
        assert STORAGE.version_of_image(uri) not in (before, None)
    assert STORAGE.version_of_image(f"{tmp_path}/none") is None


@pytest.mark.parametrize(
    ("method", "call", "answer"),
    [
        ("cat_file", lambda: STORAGE.read("memory://lossy/a"), b"x"),
        ("open", lambda: STORAGE.open("memory://lossy/a").read(), b"x"),
        ("pipe_file", lambda: STORAGE.put("memory://lossy/a", b"x"), None),
        ("exists", lambda: STORAGE.exists("memory://lossy/a"), True),
        ("isdir", lambda: STORAGE.is_directory("memory://lossy"), True),
        ("find", lambda: list(STORAGE.walk("memory://lossy")), ["memory://lossy/a"]),
        ("glob", lambda: STORAGE.glob("memory://lossy/*"), ["memory://lossy/a"]),
        ("rm_file", lambda: STORAGE.remove("memory://lossy/a"), None),
    ],
)
def test_every_request_outlasts_lost_connections_but_not_for_ever(monkeypatch, method, call, answer):
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    STORAGE.put("memory://lossy/a", b"x")
    answers, real = [], getattr(MemoryFileSystem, method)

    def lossy(*arguments, **options):
        answers.append(len(answers) + 1 > losses)
        if not answers[-1]:
            raise ConnectionResetError("lost")
        return real(*arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, method, lossy)
    losses = 10
    with pytest.raises(ConnectionResetError, match="lost"):
        call()
    assert answers == [False] * 4
    answers.clear()
    losses = 3
    assert call() == answer
    assert answers[:4] == [False, False, False, True]


def test_it_travels_to_workers():
    storage = Storage({"s3": {"key": "k", "secret": "s"}}, Doors.of_manifest("s3://b/m"), 5, 2)
    assert pickle.loads(pickle.dumps(storage)) == storage
    assert storage.redact("secret=hunter2") == "secret=***"


class OtherSpelling(MemoryFileSystem):
    """A store with several schemes, whose file system calls everything by one, and leaves the account out."""

    protocol = ("abfs", "az", "abfss")
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]

    @classmethod
    def _strip_protocol(cls, path):
        path = path.partition("://")[2] if "://" in path else path
        container, _, rest = path.strip("/").partition("/")
        return f"/{container.partition('@')[0]}/{rest}".rstrip("/")

    @classmethod
    def _get_kwargs_from_urls(cls, path):
        return {}


@pytest.fixture
def other_spelling(monkeypatch):
    registered = importlib.import_module("fsspec.registry")._registry
    for scheme in ("az", "abfs", "abfss"):
        monkeypatch.setitem(registered, scheme, OtherSpelling)
    OtherSpelling.store.clear()


@pytest.mark.parametrize("folder", ["az://c/out", "abfss://c/out", "abfs://c@account.dfs.core.windows.net/out", "az://c",
                                    "az://c/out/", "abfs://net@account.dfs.core.windows.net"])  # fmt: skip
def test_a_listing_comes_back_in_the_callers_spelling(other_spelling, folder):
    storage, root = Storage(), uris.absolute(folder)
    for name in ("runs/r1/run.json", "runs/r1/.hidden", "statistics/run=r1/part-0.parquet"):
        storage.put(f"{root}/{name}", b"x")
    assert sorted(storage.walk(root)) == [f"{root}/runs/r1/run.json", f"{root}/statistics/run=r1/part-0.parquet"]
    assert storage.glob(f"{root}/runs/*/run.json") == [f"{root}/runs/r1/run.json"]
    assert storage.glob(f"{root}/*/run=r1/part-*") == [f"{root}/statistics/run=r1/part-0.parquet"]


@pytest.mark.parametrize(
    ("written", "absolute"),
    [("s3://bucket/", "s3://bucket"), ("s3://bucket/out//", "s3://bucket/out"), ("memory://", "memory://"),
     ("gs://b/x", "gs://b/x"), ("/tmp/out/", "/tmp/out"), ("zip://a/::s3://b/x.zip", "zip://a/::s3://b/x.zip")],
)  # fmt: skip
def test_slashes_at_the_end_of_a_folder_mean_nothing(written, absolute):
    assert Storage().absolute(written) == absolute


def test_options_under_any_name_of_a_store_count():
    for given, used in (("gcs", "gs"), ("gs", "gcs"), ("s3", "s3a"), ("az", "abfss")):
        assert RemoteFiles({given: {"token": "t"}}, Doors(), 1.0, 1)._options_of(used) == {"token": "t"}
    both = RemoteFiles({"gs": {"token": "1"}, "gcs": {"token": "2"}}, Doors(), 1.0, 1)
    assert (both._options_of("gs"), both._options_of("gcs")) == ({"token": "1"}, {"token": "2"})
    assert both._options_of("s3") == {}
