"""What model.source says, by its spelling."""

import pytest

from transforms.model.errors import ModelRefused
from transforms.model.load.source import ModelSource, parse_source


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
        ("memory://saved_model.pb", "savedmodel", "memory://"),
        ("zip://m.keras::s3://bucket/models.zip", "keras_file", "zip://m.keras::s3://bucket/models.zip"),
        ("tar://a/m.h5::file:///x/a.tar", "keras_file", "tar://a/m.h5::file:///x/a.tar"),
        ("zip://pets/::s3://bucket/a.zip", "savedmodel", "zip://pets::s3://bucket/a.zip"),
        ("zip://pets/saved_model.pb::/x/a.keras", "savedmodel", "zip://pets::/x/a.keras"),
        ("zip://saved_model.pb::/x/a.zip", "savedmodel", "zip://::/x/a.zip"),
        ("simplecache::s3://bucket/m.keras", "keras_file", "simplecache::s3://bucket/m.keras"),
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
        ("zip://resnet.pt::s3://bucket/a.zip", "is PyTorch"),
        ("frozen.pb", "frozen graph without signatures: save it as a SavedModel"),
    ],
)
def test_other_files_are_refused_with_a_remedy(source, message):
    with pytest.raises(ModelRefused, match=message):
        parse_source(source)
