"""A model's digest changes with everything that changes the model, and needs no TensorFlow."""

import dataclasses
import io
import subprocess
import sys
import zipfile

import fsspec
import pytest

from transforms.model.errors import ModelRefused
from transforms.model.load.source_digest import digest_source
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage


def test_every_option_that_matters_changes_the_digest(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"one")
    options = ModelOptions(str(tmp_path / "m.keras"))
    changes = {
        "output": "head", "signature": "s", "class_names": ("a", "b"), "input_size": (64, 64), "preprocessing": "unit",
        "target_layer": "conv", "score": "probability", "method": "layercam", "contrast": 3, "resize": "pad",
        "output_kind": "value", "threshold": 0.25, "labels": "numbers", "inputs": {"age": "age"},
        "interpolation": "bilinear", "antialias": True, "crop_fraction": 0.875, "pad_color": (1, 2, 3),
        "geometry": (0.0, 0.0, 1.0, 0.5), "precision": "float16", "layers": 2, "fusion": "maximum",
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(options)} - {"source", "weights", "trust"}
    digests = [digest_source(dataclasses.replace(options, **{key: value}), Storage()) for key, value in changes.items()]
    assert len({digest_source(options, Storage()), *digests}) == len(changes) + 1
    assert digest_source(dataclasses.replace(options, trust=True), Storage()) == digest_source(options, Storage())


def test_the_bytes_count_and_not_the_date(tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(b"one")
    first = digest_source(ModelOptions(str(path)), Storage())
    path.write_bytes(b"one")
    assert digest_source(ModelOptions(str(path)), Storage()) == first
    path.write_bytes(b"two")
    assert digest_source(ModelOptions(str(path)), Storage()) != first


def test_all_files_of_a_directory_and_their_names_count(tmp_path):
    def digest(**files):
        folder = tmp_path / f"m{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
        return Storage().digest(str(folder))

    same = digest(a="1", b="2")
    assert digest(b="2", a="1") == same
    assert len({same, digest(a="2", b="1"), digest(a="12"), digest(a="1", b="2", c=""), digest(a="1", c="2")}) == 5


def test_the_content_of_class_names_and_weights_counts(tmp_path):
    names, weights = tmp_path / "names.txt", tmp_path / "w.weights.h5"
    options = ModelOptions("keras:MobileNetV2", weights=str(weights), class_names=str(names))
    digests = set()
    for content in ("a\nb", "a\nc"):
        for weight in (b"1", b"2"):
            names.write_text(content)
            weights.write_bytes(weight)
            digests.add(digest_source(options, Storage()))
    assert len(digests) == 4


def test_named_models_differ_by_name_and_weights(monkeypatch):
    def digest(source, weights=None):
        return digest_source(ModelOptions(source, weights=weights), Storage())

    digests = [digest("keras:MobileNet"), digest("keras:MobileNetV2"), digest("keras:MobileNet", "none")]
    digests += [
        digest("bundled:efficientnet-lite0"),
        digest("hub:https://tfhub.dev/x/1"),
        digest("hub:https://tfhub.dev/x/2"),
    ]
    assert len(set(digests)) == 6
    monkeypatch.setattr("transforms.model.load.source_digest.package_version", lambda name: "4.0")
    assert digest("keras:MobileNet") != digests[0]


def test_the_code_of_a_factory_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "digest_me"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text("def build(): return 1")
    (package / "layers.py").write_text("")
    options = ModelOptions("digest_me.models:build")
    digests = [digest_source(options, Storage())]
    (package / "layers.py").write_text("# changed")
    digests.append(digest_source(options, Storage()))
    assert len(set(digests)) == 2
    assert "digest_me" not in sys.modules
    with pytest.raises(ModelRefused, match="there is no module nowhere"):
        digest_source(ModelOptions("nowhere.models:build"), Storage())


def test_a_checksum_of_the_store_saves_reading(monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/digest/m.keras", b"one")
    read = Storage().digest("memory://digest/m.keras")
    info = type(memory).info
    monkeypatch.setattr(type(memory), "info", lambda self, path, **kw: {**info(self, path, **kw), "ETag": '"5"'})
    tagged = Storage().digest("memory://digest/m.keras")
    memory.pipe("/digest/m.keras", b"two")
    assert Storage().digest("memory://digest/m.keras") == tagged != read


def write_pinned(folder):
    """The files that the digests below were computed of, by version 0.1.0 (commit 2edf26b)."""
    contents = {
        "m.keras": b"a model\n" * 1000, "names.txt": b"ant\nbee\n", "w.weights.h5": b"weights",
        "saved/saved_model.pb": b"graph", "saved/variables/variables.index": b"index", "saved/.hidden": b"h",
        "saved/assets.txt": b"", "saved/assets/a": b"a",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return contents


def test_models_that_earlier_versions_compiled_are_found_again(tmp_path, monkeypatch):
    write_pinned(tmp_path)
    monkeypatch.chdir(tmp_path)
    named, unit = {"class_names": ("ant", "bee")}, {"preprocessing": "unit"}
    wanted = {
        "d1a0b038b579bcafab8a07ebf1866b35": ModelOptions(f"{tmp_path}/m.keras", **named, **unit),
        "5fc9dc3694d886140b78a91aa6c09d7f": ModelOptions(f"{tmp_path}/saved/", class_names="names.txt", **unit),
        "5db6bb4d0ec553a1925721f115dfbdab": ModelOptions(f"file://{tmp_path}/m.keras", class_names=None, **unit),
    }
    assert [digest_source(options, Storage()) for options in wanted.values()] == list(wanted)
    assert digest_source(ModelOptions("m.keras", **named, **unit), Storage()) == next(iter(wanted))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert digest_source(ModelOptions("~/m.keras", **named, **unit), Storage()) == next(iter(wanted))


def test_models_whose_preprocessing_was_found_out_are_looked_at_again(tmp_path, monkeypatch):
    """Earlier versions took any multiplication for the model's own scaling."""
    write_pinned(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {
        "36f35b23aa0ac6a2bbc1345a973a7c0e": ModelOptions(f"{tmp_path}/m.keras", class_names=("ant", "bee")),
        "99cbbdc270a7626482a1863b5b9c395d": ModelOptions(f"{tmp_path}/saved/", class_names="names.txt"),
    }
    assert {digest_source(options, Storage()) for options in before.values()}.isdisjoint(before)


def test_the_digest_is_the_same_wherever_the_bytes_lie(tmp_path):
    contents = write_pinned(tmp_path)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    for name, content in contents.items():
        Storage().put(f"memory://pinned/{name}", content)
    Storage().put("memory://pinned.zip", archive.getvalue())
    for place in (f"{tmp_path}/{{}}", "memory://pinned/{}", "zip://{}::memory://pinned.zip"):
        assert Storage().digest(place.format("saved")) == "f4ad9b48ad9e28cd984b9fe054ef03d9"  # as commit 2edf26b did
        assert Storage().digest(place.format("m.keras")) == "f14438c0bc0cb0a5f3e8220640e5bf93"


def test_nothing_there_is_refused():
    with pytest.raises(ModelRefused, match=r"there is no model at /nowhere/m\.keras"):
        digest_source(ModelOptions("/nowhere/m.keras"), Storage())


def test_no_tensorflow_is_imported():
    code = (
        "import sys; from transforms.model.options import ModelOptions as O;"
        "from transforms.model.load.source_digest import digest_source;"
        "from transforms.storage import Storage;"
        "d = lambda source: digest_source(O(source), Storage());"
        "d('bundled:efficientnet-lite0'); d('keras:MobileNet'); d('keras.applications:MobileNet');"
        "print([m for m in ('tensorflow', 'keras', 'tf_keras', 'h5py') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
