"""A model's digest changes with everything that changes the model, and needs no TensorFlow."""

import dataclasses
import subprocess
import sys

import fsspec
import pytest

from transforms.model.errors import ModelRefused
from transforms.model.load.source_digest import content_digest, digest_source
from transforms.model.options import ModelOptions


def test_every_option_that_matters_changes_the_digest(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"one")
    options = ModelOptions(str(tmp_path / "m.keras"))
    changes = {
        "output": "head", "signature": "s", "class_names": ("a", "b"), "input_size": (64, 64), "preprocessing": "unit",
        "target_layer": "conv", "score": "probability", "method": "layercam", "contrast": 3, "resize": "pad",
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(options)} - {"source", "weights", "trust"}
    digests = [digest_source(dataclasses.replace(options, **{key: value}), {}) for key, value in changes.items()]
    assert len({digest_source(options, {}), *digests}) == len(changes) + 1
    assert digest_source(dataclasses.replace(options, trust=True), {}) == digest_source(options, {})


def test_the_bytes_count_and_not_the_date(tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(b"one")
    first = digest_source(ModelOptions(str(path)), {})
    path.write_bytes(b"one")
    assert digest_source(ModelOptions(str(path)), {}) == first
    path.write_bytes(b"two")
    assert digest_source(ModelOptions(str(path)), {}) != first


def test_all_files_of_a_directory_and_their_names_count(tmp_path):
    def digest(**files):
        folder = tmp_path / f"m{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
        return content_digest(str(folder), {})

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
            digests.add(digest_source(options, {}))
    assert len(digests) == 4


def test_named_models_differ_by_name_and_weights(monkeypatch):
    def digest(source, weights=None):
        return digest_source(ModelOptions(source, weights=weights), {})

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
    digests = [digest_source(options, {})]
    (package / "layers.py").write_text("# changed")
    digests.append(digest_source(options, {}))
    assert len(set(digests)) == 2
    assert "digest_me" not in sys.modules
    with pytest.raises(ModelRefused, match="there is no module nowhere"):
        digest_source(ModelOptions("nowhere.models:build"), {})


def test_a_checksum_of_the_store_saves_reading(monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/digest/m.keras", b"one")
    read = content_digest("memory://digest/m.keras", {})
    info = type(memory).info
    monkeypatch.setattr(type(memory), "info", lambda self, path, **kw: {**info(self, path, **kw), "ETag": '"5"'})
    tagged = content_digest("memory://digest/m.keras", {})
    memory.pipe("/digest/m.keras", b"two")
    assert content_digest("memory://digest/m.keras", {}) == tagged != read


def test_nothing_there_is_refused():
    with pytest.raises(ModelRefused, match=r"there is no model at /nowhere/m\.keras"):
        digest_source(ModelOptions("/nowhere/m.keras"), {})


def test_no_tensorflow_is_imported():
    code = (
        "import sys; from transforms.model.options import ModelOptions as O;"
        "from transforms.model.load.source_digest import digest_source as d;"
        "d(O('bundled:efficientnet-lite0'), {}); d(O('keras:MobileNet'), {}); d(O('keras.applications:MobileNet'), {});"
        "print([m for m in ('tensorflow', 'keras', 'tf_keras', 'h5py') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
