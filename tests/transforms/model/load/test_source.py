"""What model.source says, by its spelling, and copies of remote models."""

import fsspec
import pytest

from transforms.model.errors import ModelRefused
from transforms.model.load.source import ModelSource, parse_source
from transforms.storage.local_copies import local_copy


@pytest.mark.parametrize(
    ("source", "kind", "name"),
    [
        ("bundled:efficientnet-lite0", "bundled", "efficientnet-lite0"),
        ("keras:MobileNetV2", "keras", "MobileNetV2"),
        ("hub:https://tfhub.dev/google/x/1", "hub", "https://tfhub.dev/google/x/1"),
        ("hub:/models/m", "hub", "/models/m"),
        ("my_models:build", "factory", "my_models:build"),
        ("lab.models.pets:resnet_50", "factory", "lab.models.pets:resnet_50"),
        ("m.keras", "keras_file", "m.keras"),
        ("s3://bucket/a/m.H5", "keras_file", "s3://bucket/a/m.H5"),
        ("models/pets", "savedmodel", "models/pets"),
        ("gs://bucket/models/pets/", "savedmodel", "gs://bucket/models/pets"),
        ("models/pets/saved_model.pb", "savedmodel", "models/pets"),
        ("saved_model.pb", "savedmodel", "."),
        (r"c:\models", "savedmodel", r"c:\models"),
    ],
)
def test_kinds_of_source(source, kind, name):
    assert parse_source(source) == ModelSource(kind, name)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("pets.weights.h5", "holds weights and no architecture: give it as model.weights"),
        ("resnet.pth", "is PyTorch"),
        ("net.tflite", "TensorFlow Lite, which has no gradients"),
        ("frozen.pb", "frozen graph without signatures: save it as a SavedModel"),
    ],
)
def test_other_files_are_refused_with_a_remedy(source, message):
    with pytest.raises(ModelRefused, match=message):
        parse_source(source)


def test_a_local_file_is_used_where_it_lies(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"model")
    with local_copy(str(tmp_path / "m.keras"), {}) as path:
        assert path == tmp_path / "m.keras"


def test_remote_files_and_directories_are_copied_and_removed():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/models/m.keras": b"model", "/models/saved/saved_model.pb": b"pb", "/models/saved/variables/v": b"v"})
    with local_copy("memory://models/m.keras", {}) as path:
        assert (path.name, path.read_bytes()) == ("m.keras", b"model")
    assert not path.exists()
    with local_copy("memory://models/saved", {}) as path:
        assert (path / "saved_model.pb").read_bytes() == b"pb"
        assert (path / "variables" / "v").read_bytes() == b"v"
    assert not path.exists()


def test_nothing_there_is_refused():
    for url in ("memory://models/nothing.keras", "/nowhere/m.keras"):
        with pytest.raises(ModelRefused, match="there is no model at"), local_copy(url, {}):
            pass
    with pytest.raises(ModelRefused, match="cannot be read: ValueError: Protocol not known"), local_copy("x9://a", {}):
        pass
