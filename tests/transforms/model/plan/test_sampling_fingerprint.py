"""The way photos are resized is part of the fingerprint; the way they always were has the fingerprint it always had."""

import keras
import numpy as np
import pytest
from keras import layers

from transforms.model.compile import compile_model
from transforms.model.options import ModelOptions
from transforms.sampling import Sampling
from transforms.storage.storage import Storage


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    model = keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    noise = np.random.default_rng(0)
    model.set_weights([noise.normal(0, 0.3, w.shape).astype(np.float32) for w in model.get_weights()])
    path = str(tmp_path_factory.mktemp("model") / "model.keras")
    model.save(path)
    return path


def compiled(model_file, tmp_path, **options):
    return compile_model(ModelOptions(model_file, **{"preprocessing": "none"} | options), str(tmp_path), Storage())


def test_outputs_of_earlier_versions_are_resumed(model_file, tmp_path, monkeypatch):
    # By version 2edf26b, whose schema was 2, with TensorFlow 2.21 and Keras 3.15.
    monkeypatch.setattr("transforms.model.plan.fingerprint.NUMBERS_VERSION", "2")
    assert compiled(model_file, tmp_path).fingerprint == "7e382512e93ea643c70a33502aa49526"
    torch = compiled(model_file, tmp_path, preprocessing="torch", resize="crop")
    assert torch.fingerprint == "ab3e75b99ee1c2e539935b868c09ccee"


def test_another_way_of_resizing_is_another_fingerprint(model_file, tmp_path):
    ways = [
        {},
        {"interpolation": "bilinear"},
        {"interpolation": "bilinear", "antialias": True},
        {"interpolation": "nearest"},
        {"interpolation": "nearest", "antialias": False},
        {"crop_fraction": 0.875},
        {"resize": "crop", "crop_fraction": 0.875},
        {"resize": "pad"},
        {"resize": "pad", "pad_color": (114, 114, 114)},
    ]
    cards = [compiled(model_file, tmp_path, **way) for way in ways]
    assert len({card.fingerprint for card in cards}) == len(ways)
    assert [card.sampling for card in cards] == [Sampling(**{"interpolation": "area"} | way).settled() for way in ways]
    default = cards[0].fingerprint
    assert compiled(model_file, tmp_path, interpolation="area").fingerprint == default
    assert compiled(model_file, tmp_path, interpolation="area", antialias=True).fingerprint == default
