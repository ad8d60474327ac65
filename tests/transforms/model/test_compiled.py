import dataclasses
import json
import pathlib
import subprocess
import sys
import textwrap

import fsspec
import keras
import numpy as np
import pytest
import small_models

from transforms.model import compiled
from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled, read_card
from transforms.model.errors import ModelRefused
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

STORAGE = Storage()
IMAGES = small_models.images(3)
TARGETS = np.array([[0, -1, 4]] * 3, np.int32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = small_models.convolutional()
    model.save(folder / "model.keras")
    (folder / "classes.txt").write_text("ant\nbee\ncat\ndog\nemu\n")
    return folder, model


@pytest.fixture(scope="module")
def options(saved):
    folder, _ = saved
    return ModelOptions(
        str(folder / "model.keras"), class_names=str(folder / "classes.txt"), preprocessing="minus_one_to_one"
    )


@pytest.fixture(scope="module")
def compiled_model(options, tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("compiled"))
    return directory, compile_model(options, directory, STORAGE)


def test_the_card_says_what_was_compiled(options, compiled_model):
    directory, card = compiled_model
    assert card == read_card(f"{directory}/{card.fingerprint}", STORAGE)
    assert (card.target_layer, card.cam_height, card.cam_width, card.class_count) == ("features", 8, 8, 5)
    assert (card.input_height, card.input_width, card.activation, card.method) == (32, 32, "softmax", "gradcam")
    assert card.class_names == ("ant", "bee", "cat", "dog", "emu")
    assert card.preprocessing["name"] == "minus_one_to_one"
    assert card.source == options.source


def test_a_loaded_model_explains_as_the_original_does(saved, compiled_model):
    _, model = saved
    directory, card = compiled_model
    explanation = load_compiled(f"{directory}/{card.fingerprint}", STORAGE, 4).explain(IMAGES, TARGETS)
    expected = model(IMAGES.astype(np.float32) / 127.5 - 1, training=False)
    np.testing.assert_allclose(explanation.probabilities, expected, rtol=1e-4, atol=1e-6)
    assert explanation.cams.shape == (3, 3, 8, 8)
    assert explanation.cams.dtype == explanation.evidence.dtype == np.float32
    assert explanation.classes[:, 1].tolist() == np.argmax(expected, 1).tolist()
    bias = model.get_layer("scores").bias.numpy()
    np.testing.assert_allclose(
        explanation.evidence + bias[explanation.classes], explanation.target_scores, rtol=1e-4, atol=1e-5
    )
    assert explanation.finite.all()


def test_a_process_loads_a_model_once(compiled_model):
    directory, card = compiled_model
    first = load_compiled(f"{directory}/{card.fingerprint}", STORAGE, 4)
    assert load_compiled(f"{directory}/{card.fingerprint}", STORAGE, 4) is first


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (IMAGES.astype(np.float32), TARGETS, "float32"),
        (IMAGES[:, :16], TARGETS, r"\(3, 16, 32, 3\), the model takes uint8 \(3, 32, 32, 3\)"),
        (IMAGES, TARGETS[:2], "one row is needed"),
        (IMAGES, TARGETS + 1, "0 to 5; the model has 5 classes"),
        (IMAGES, TARGETS - 5, "-6 to -1; the model has 5 classes"),
    ],
)
def test_wrong_arguments_are_named(compiled_model, images, targets, message):
    directory, card = compiled_model
    with pytest.raises(ValueError, match=message):
        load_compiled(f"{directory}/{card.fingerprint}", STORAGE, 4).explain(images, targets)


@pytest.mark.slow
def test_a_process_with_tensorflow_alone_gives_the_same_numbers(compiled_model, tmp_path):
    directory, card = compiled_model
    np.save(tmp_path / "images.npy", IMAGES)
    script = f"""
        import sys
        import numpy as np
        import tensorflow as tf
        model = tf.saved_model.load({f"{directory}/{card.fingerprint}"!r})
        images = tf.constant(np.load({str(tmp_path / "images.npy")!r}))
        explained = model.signatures["explain"](images=images, targets=tf.constant({TARGETS.tolist()}))
        predicted = model.signatures["serving_default"](images=images)
        assert predicted["classes"].shape == (3, 1)
        assert not {{"tf_keras", "tensorflow_hub", "transforms"}} & sys.modules.keys()
        np.savez({str(tmp_path / "out.npz")!r}, served=predicted["cams"], **explained)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=tmp_path, timeout=100)
    there = np.load(tmp_path / "out.npz")
    here = load_compiled(f"{directory}/{card.fingerprint}", STORAGE, 4).explain(IMAGES, TARGETS)
    for name in ("cams", "classes", "scores", "probabilities", "target_scores", "evidence", "finite"):
        np.testing.assert_allclose(there[name], getattr(here, name), rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(there["served"][:, 0], here.cams[:, 1], rtol=1e-4, atol=1e-5)


def test_a_second_time_finds_it_without_tensorflow(options, compiled_model):
    directory, card = compiled_model
    script = f"""
        import sys
        from transforms.model.compile import compile_model
        from transforms.model.options import ModelOptions
        from transforms.storage.storage import Storage
        card = compile_model({options!r}, {directory!r}, Storage())
        assert card.fingerprint == {card.fingerprint!r}
        assert "tensorflow" not in sys.modules and "keras" not in sys.modules
    """
    root = pathlib.Path(compiled.__file__).parents[2]
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=root, timeout=100)


def test_the_same_model_with_other_names_is_the_same_model_with_a_new_card(saved, options, tmp_path):
    first = compile_model(options, str(tmp_path), STORAGE)
    graph = (tmp_path / first.fingerprint / "saved_model.pb").stat().st_mtime_ns
    renamed = ModelOptions(options.source, class_names=tuple("vwxyz"), preprocessing="minus_one_to_one")
    second = compile_model(renamed, str(tmp_path), STORAGE)
    assert first.fingerprint == second.fingerprint
    assert second.class_names == ("v", "w", "x", "y", "z")
    assert (tmp_path / first.fingerprint / "saved_model.pb").stat().st_mtime_ns == graph
    assert read_card(f"{tmp_path}/{first.fingerprint}", STORAGE) == second


def test_a_remote_directory(options):
    memory = fsspec.filesystem("memory")
    card = compile_model(options, "memory://bucket/models", STORAGE)
    assert memory.exists(f"/bucket/models/{card.fingerprint}/saved_model.pb")
    explanation = load_compiled(f"memory://bucket/models/{card.fingerprint}", STORAGE, 4).explain(IMAGES, TARGETS)
    assert explanation.cams.shape == (3, 3, 8, 8)
    assert compile_model(options, "memory://bucket/models", STORAGE) == card


def test_what_was_not_finished_is_not_found(options, tmp_path):
    card = compile_model(options, str(tmp_path), STORAGE)
    folder = tmp_path / card.fingerprint
    (folder / "explanation.json").unlink()
    (folder / "saved_model.pb").write_bytes(b"half of it")
    with pytest.raises(FileNotFoundError):
        load_compiled(str(folder), STORAGE, 4)
    again = compile_model(options, str(tmp_path), STORAGE)
    assert dataclasses.replace(again, files=card.files) == card  # TensorFlow writes no two files alike
    assert json.loads((folder / "explanation.json").read_text())["fingerprint"] == card.fingerprint
    assert (folder / "saved_model.pb").stat().st_size > 100


def test_a_refused_model_leaves_nothing_behind(tmp_path):
    model = keras.Sequential([keras.layers.Input((32, 32, 3)), keras.layers.Conv2D(4, 3)])
    model.save(tmp_path / "features.keras")
    with pytest.raises(ModelRefused, match="classifier head"):
        compile_model(ModelOptions(str(tmp_path / "features.keras")), str(tmp_path / "models"), STORAGE)
    assert not (tmp_path / "models").exists()


def test_guarded_channels_are_counted(tmp_path):
    model = small_models.convolutional(pooled=False)
    model.save(tmp_path / "model.keras")
    options = ModelOptions(str(tmp_path / "model.keras"), target_layer="depthwise_bn", method="gradcam++")
    card = compile_model(options, str(tmp_path), STORAGE)
    loaded = load_compiled(f"{tmp_path}/{card.fingerprint}", STORAGE, 4)
    explanation = loaded.explain(IMAGES, TARGETS)
    assert explanation.guarded.shape == TARGETS.shape
    assert explanation.guarded.sum() > 0
