"""Copies of remote files and folders on this machine."""

import io
import os
import zipfile

import pytest

from transforms.storage.local_copies import local_copy
from transforms.storage.storage import Storage

STORAGE = Storage()
SAVED = {"saved/saved_model.pb": b"pb", "saved/variables/v": b"v", "saved/.hidden": b"h"}


def zipped(contents: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return archive.getvalue()


def files_in(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_local_file_is_used_where_it_lies(tmp_path, monkeypatch):
    (tmp_path / "m.keras").write_bytes(b"model")
    monkeypatch.chdir(tmp_path)
    for uri in (f"{tmp_path}/m.keras", f"file://{tmp_path}/m.keras", "m.keras"):
        with local_copy(uri, STORAGE) as path:
            assert path == tmp_path / "m.keras"
    assert (tmp_path / "m.keras").read_bytes() == b"model"


def test_remote_files_and_folders_are_copied_and_removed(tmp_path):
    for name, content in (SAVED | {"m.keras": b"model", "saved2/other": b"o"}).items():
        STORAGE.put(f"memory://models/{name}", content)
    STORAGE.put("memory://models.zip", zipped(SAVED | {"m.keras": b"model", "saved2/other": b"o"}))
    (tmp_path / "models.zip").write_bytes(STORAGE.read("memory://models.zip"))
    for place in ("memory://models/{}", "zip://{}::memory://models.zip", f"zip://{{}}::{tmp_path}/models.zip",
                  "simplecache::memory://models/{}"):  # fmt: skip
        with local_copy(place.format("m.keras"), STORAGE) as path:
            assert (path.name, path.read_bytes()) == ("m.keras", b"model")
        assert not path.exists()
        for name in ("saved", "saved/"):
            with local_copy(place.format(name), STORAGE) as path:
                assert path.name == "saved"
                assert files_in(path.parent) == SAVED
            assert not path.parent.exists()


def test_the_whole_of_an_archive_is_a_folder():
    STORAGE.put("memory://whole.zip", zipped(SAVED))
    with local_copy("zip://::memory://whole.zip", STORAGE) as path:
        assert files_in(path) == SAVED


def test_archives_within_archives():
    STORAGE.put("memory://outer.zip", zipped({"in/inner.zip": zipped(SAVED)}))
    with local_copy("zip://saved::zip://in/inner.zip::memory://outer.zip", STORAGE) as path:
        assert files_in(path.parent) == SAVED


@pytest.mark.parametrize(
    "uri",
    ["memory://models/nothing.keras", "/nowhere/m.keras", "zip://no::memory://some.zip", "zip://a::memory://none.zip"],
)
def test_nothing_there_is_an_error(uri):
    STORAGE.put("memory://some.zip", zipped(SAVED))
    with pytest.raises(FileNotFoundError), local_copy(uri, STORAGE):
        pass
    with pytest.raises(FileNotFoundError):
        STORAGE.digest(uri)


def test_no_name_leads_out_of_the_copy(tmp_path):
    STORAGE.put("memory://evil.zip", zipped({"m/a": b"a", "m/../../../b": b"b"}))
    with pytest.raises(ValueError, match="leads out of the folder"):
        STORAGE.to_local("zip://m::memory://evil.zip", tmp_path / "sub" / "m")
    assert "b" not in {name for _, _, names in os.walk(tmp_path) for name in names}


def test_copies_and_digests_outlast_transient_errors(monkeypatch, tmp_path):
    """Every request for a file fails twice, in the archive and in the store that it lies in."""
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.implementations.zip import ZipFileSystem

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    STORAGE.put("memory://flaky.zip", zipped(SAVED))
    for kind in (MemoryFileSystem, ZipFileSystem):
        failures: dict[str, int] = {}

        def flaky(filesystem, path, *args, _failures=failures, _open=kind._open, **kwargs):
            _failures[path] = _failures.get(path, 0) + 1
            if _failures[path] < 3:
                raise ConnectionResetError(f"lost {path}")
            return _open(filesystem, path, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(kind, "_open", flaky)
            folder = tmp_path / kind.__name__
            assert files_in(STORAGE.to_local("zip://saved::memory://flaky.zip", folder)) == {
                name.removeprefix("saved/"): content for name, content in SAVED.items()
            }
            failures.clear()
            flaky_digest = STORAGE.digest("zip://saved::memory://flaky.zip")
        assert min(failures.values()) == 3
        assert STORAGE.digest("zip://saved::memory://flaky.zip") == flaky_digest
