"""Models that end in features are told from models that end in class scores."""

import keras
import pytest
import small_models
from keras import layers
from source_models import tiny_base

from transforms.model.errors import ModelRefused


def ending(*end, base=True):
    inputs = keras.Input((32, 32, 3))
    x = tiny_base(keras)(inputs) if base else inputs
    for layer in end:
        x = layer(x)
    return keras.Model(inputs, x)


FEATURES = {
    "pooled": [layers.GlobalAveragePooling2D()],
    "pooled by maximum": [layers.GlobalMaxPooling2D()],
    "pooled and flattened": [layers.GlobalAveragePooling2D(keepdims=True), layers.Flatten()],
    "one cell": [layers.Conv2D(8, 8, activation="relu")],
    "swish": [layers.Conv2D(8, 3, activation="swish"), layers.GlobalAveragePooling2D()],
    "a sum of branches": [lambda x: x + layers.Conv2D(8, 3, padding="same")(x), layers.GlobalAveragePooling2D()],
}
SCORES = {
    "dense": [layers.GlobalAveragePooling2D(), layers.Dense(5)],
    "dense with an activation": [layers.GlobalAveragePooling2D(), layers.Dense(5, activation="relu")],
    "pooled softmax": [layers.Conv2D(5, 1, activation="relu"), layers.GlobalAveragePooling2D(), layers.Softmax()],
    "pooled scores": [layers.Conv2D(5, 1), layers.GlobalAveragePooling2D()],
    "pooled scores without bias": [layers.Conv2D(5, 1, use_bias=False), layers.GlobalAveragePooling2D()],
    "one cell of scores": [layers.GlobalAveragePooling2D(keepdims=True), layers.Conv2D(5, 1)],
    "bias of its own": [layers.Conv2D(5, 1, use_bias=False), lambda x: x + 1.0, layers.GlobalAveragePooling2D()],
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_refused_with_what_does_work(name):
    with pytest.raises(ModelRefused, match=r"feature vector of 8 numbers .*Train a head on top .*hub\.KerasLayer"):
        small_models.planned(ending(*FEATURES[name]))


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_not_taken_for_features(name):
    assert small_models.planned(ending(*SCORES[name])).scores.units == 5


def test_the_user_knows_better():
    model = ending(*FEATURES["pooled"])
    with pytest.raises(ModelRefused, match=r"set model\.output: (\w+)\.") as refused:
        small_models.planned(model)
    output = str(refused.value).split()[-1].rstrip(".")
    assert small_models.planned(model, output=output).scores.units == 8
