"""Architectures with weights from files: keras.applications and Python factories."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from plain_module import images
from source_models import LIBRARIES, fine_tuned, shake, tiny_base

from transforms.model.errors import ModelRefused
from transforms.model.load.bundled.packages import imagenet_names
from transforms.model.load.loaders import load_model
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

SIZE = (32, 32)
PIXELS = images() / 127.5 - 1
# What each library can write; Keras 3 writes the layout of Keras 2 into whole models only.
FILES = [
    "keras w.weights.h5",
    "keras m.keras",
    "keras m.h5",
    "tf_keras w.weights.h5",
    "tf_keras w.h5",
    "tf_keras m.keras",
    "tf_keras m.h5",
]


def load(source, **options):
    return load_model(ModelOptions(str(source), **options), Storage())


def scores_of(traced, pixels):
    return traced.function(tf.constant(pixels))[0].numpy()


def save(model, path):
    (model.save if path.name.startswith("m") else model.save_weights)(path)


def mobilenet(library, **options):
    return library.applications.MobileNet(weights=None, input_shape=(32, 32, 3), alpha=1.0, **options)


def test_random_weights_are_said_to_be_random():
    traced = load("keras:MobileNet", weights="none", input_size=SIZE)
    assert traced.class_names == imagenet_names()
    assert traced.preprocessing.name == "minus_one_to_one"
    assert traced.notes == ("the weights are random: scores and maps mean nothing",)
    assert traced.function.inputs[0].shape.as_list() == [None, 32, 32, 3]
    np.testing.assert_allclose(scores_of(traced, PIXELS), traced.keep_alive(PIXELS), rtol=1e-5, atol=1e-7)


def test_a_size_that_is_free_becomes_that_of_the_application():
    traced = load("keras:MobileNetV3Small", weights="none")
    assert traced.function.inputs[0].shape.as_list() == [None, 224, 224, 3]


def test_unknown_names_and_impossible_sizes():
    with pytest.raises(ModelRefused, match=r"keras\.applications has no mobilenetv2: did you mean MobileNet"):
        load("keras:mobilenetv2", weights="none")
    with pytest.raises(ModelRefused, match=r"keras\.applications has no Nothing: there are ConvNeXtBase"):
        load("keras:Nothing", weights="none")
    with pytest.raises(ModelRefused, match=r"keras:InceptionV3 cannot be built: .* at least 75"):
        load("keras:InceptionV3", weights="none", input_size=SIZE)


def test_a_download_that_fails_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def no_network(*args, **kwargs):
        raise Exception("URL fetch failure on https://x: None -- Name or service not known")

    monkeypatch.setattr(sys.modules["keras.src.applications.mobilenet"].file_utils, "get_file", no_network)
    with pytest.raises(
        ModelRefused, match=r"imagenet weights of keras:MobileNet cannot be downloaded .*model\.weights"
    ):
        load("keras:MobileNet")


def own_head(library):
    return shake(mobilenet(library, classes=7))


def new_head(library, kind):
    base = mobilenet(library, include_top=False)
    layers = library.layers
    pool, dense = layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")
    if kind == "flat":
        return shake(library.Model(base.input, dense(layers.Dropout(0.2)(pool(base.output)))))
    base.trainable = kind == "nested"
    head = [pool, layers.Dropout(0.2), dense]
    return shake(library.Sequential([library.Input((32, 32, 3)), layers.RandomFlip(), base, *head]))


def check_application(model, path):
    save(model, path)
    traced = load("keras:MobileNet", weights=str(path), input_size=SIZE)
    np.testing.assert_allclose(scores_of(traced, PIXELS), model(PIXELS, training=False), rtol=1e-4, atol=1e-6)
    assert traced.class_names is None
    return traced.notes[0]


@pytest.mark.slow
def test_an_application_with_its_own_head_of_other_classes(tmp_path):
    note = check_application(own_head(keras), tmp_path / "w.weights.h5")
    assert "w.weights.h5 fits keras:MobileNet with its own head of 7 classes" in note


@pytest.mark.slow
def test_a_frozen_base_with_a_new_head(tmp_path):
    note = check_application(new_head(tf_keras, "frozen"), tmp_path / "w.h5")
    assert "with a Dense head of 3 classes" in note


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", FILES)
def test_every_architecture_in_every_file(tmp_path, file):
    library, name = file.split()
    check_application(own_head(LIBRARIES[library]), tmp_path / name)
    for kind in ("flat", "nested", "frozen"):
        check_application(new_head(LIBRARIES[library], kind), tmp_path / f"{name[0]}{kind}{name[1:]}")


@pytest.mark.slow
def test_a_single_unit_is_a_sigmoid(tmp_path):
    model = shake(mobilenet(keras, classes=1, classifier_activation="sigmoid"))
    model.save_weights(tmp_path / "w.weights.h5")
    traced = load("keras:MobileNet", weights=str(tmp_path / "w.weights.h5"), input_size=SIZE, class_names=("no", "yes"))
    np.testing.assert_allclose(scores_of(traced, PIXELS), model(PIXELS), rtol=1e-4, atol=1e-6)
    assert traced.class_names == ("no", "yes")


@pytest.mark.slow
def test_weights_of_another_network(tmp_path):
    shake(fine_tuned(keras)).save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ModelRefused, match=r"fits none of: keras:MobileNet with its own head of 5 .*package\.module"):
        load("keras:MobileNet", weights=str(tmp_path / "w.weights.h5"), input_size=SIZE)


def test_weights_that_are_no_classifier(tmp_path):
    tiny_base(keras).save_weights(tmp_path / "base.weights.h5")
    with pytest.raises(ModelRefused, match=r"holds no classifier"):
        load("keras:MobileNet", weights=str(tmp_path / "base.weights.h5"), input_size=SIZE)
    (tmp_path / "bad.weights.h5").write_bytes(b"bad")
    with pytest.raises(ModelRefused, match=r"bad.weights.h5 is not a weights file of Keras"):
        load("keras:MobileNet", weights=str(tmp_path / "bad.weights.h5"), input_size=SIZE)
    with pytest.raises(ModelRefused, match=r"there is no model at .*gone"):
        load("keras:MobileNet", weights=str(tmp_path / "gone.weights.h5"), input_size=SIZE)


FACTORY = """
import {library}
from source_models import fine_tuned

def pets():
    return fine_tuned({library})

def fails():
    raise RuntimeError("no such dataset")

def number():
    return 3

def function():
    model = pets()
    return lambda images: model(images, training=False)
"""


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """A module in the working directory, which is not on sys.path, as with a console script."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])

    def write(library):
        name = f"factory_{library.__name__}_{abs(hash(str(tmp_path)))}"
        (tmp_path / f"{name}.py").write_text(FACTORY.format(library=library.__name__))
        return name

    return write


@pytest.mark.parametrize("file", FILES)
def test_a_factory_with_weights(tmp_path, file, factory):
    library, file = file.split()
    library = LIBRARIES[library]
    model = shake(fine_tuned(library), seed=9)
    save(model, tmp_path / file)
    traced = load(f"{factory(library)}:pets", weights=str(tmp_path / file))
    np.testing.assert_allclose(scores_of(traced, images()), model(images(), training=False), rtol=1e-4, atol=1e-6)
    assert "tiny_base/base_out" in traced.layer_tensors


def test_factories_of_other_things(factory, tmp_path):
    name = factory(keras)
    wanted = fine_tuned(keras)(images(), training=False)
    np.testing.assert_allclose(scores_of(load(f"{name}:pets"), images()), wanted, rtol=1e-5, atol=1e-6)
    traced = load(f"{name}:function", input_size=SIZE)
    np.testing.assert_allclose(scores_of(traced, images()), wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(ModelRefused, match="of any size"):
        load(f"{name}:function")
    with pytest.raises(ModelRefused, match=rf"{name}:fails\(\) failed: RuntimeError: no such dataset"):
        load(f"{name}:fails")
    with pytest.raises(ModelRefused, match="gives int: it must be a Keras model or a function of images"):
        load(f"{name}:number")
    with pytest.raises(ModelRefused, match=r"has no function cats; it has .*fine_tuned, pets, fails, number, function"):
        load(f"{name}:cats")
    with pytest.raises(ModelRefused, match=r"nowhere cannot be imported .*working directory, on PYTHONPATH"):
        load("nowhere:build")
    with pytest.raises(ModelRefused, match=r"no Keras model: model.weights cannot be put into it"):
        load(f"{name}:function", weights="w.h5")


def test_weights_of_another_model_do_not_fit_a_factory(factory, tmp_path):
    shake(fine_tuned(keras, classes=9)).save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ModelRefused, match=r"w\.weights\.h5 does not fit .*:pets\(\): "):
        load(f"{factory(keras)}:pets", weights=str(tmp_path / "w.weights.h5"))


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_the_layout_counts_and_not_the_name_of_a_weights_file(tmp_path, library, factory):
    """TF <= 2.12 wrote its layout into x.weights.h5 too."""
    model = shake(fine_tuned(tf_keras), seed=4)
    model.save_weights(tmp_path / "w.h5")
    (tmp_path / "w.h5").rename(tmp_path / "w.weights.h5")
    traced = load(f"{factory(library)}:pets", weights=str(tmp_path / "w.weights.h5"))
    np.testing.assert_allclose(scores_of(traced, images()), model(images(), training=False), rtol=1e-4, atol=1e-6)
