"""Files that this Keras cannot load: its own last word, and whether a newer one wrote the file."""

import json
import zipfile

import keras
import pytest
from small_models import convolutional

from transforms.model import ModelOptions, ModelRefused, compile_model
from transforms.model.load.from_keras.told_by_keras import cause_in, newer_keras
from transforms.storage import Storage


def changed(folder, version, change):
    """A ``.keras`` file as another Keras would have written it."""
    convolutional().save(folder / "model.keras")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config, metadata = json.loads(parts["config.json"]), json.loads(parts["metadata.json"])
    change(config["config"]["layers"][-1])
    parts["config.json"] = json.dumps(config)
    parts["metadata.json"] = json.dumps(metadata | {"keras_version": version})
    with zipfile.ZipFile(folder / "newer.keras", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return folder / "newer.keras"


def refusal(path) -> str:
    with pytest.raises(ModelRefused) as refused:
        compile_model(ModelOptions(str(path)), f"{path}-compiled", Storage())
    return str(refused.value)


def test_an_argument_of_a_newer_keras_is_named(tmp_path):
    text = refusal(changed(tmp_path, "3.99.0", lambda layer: layer["config"].update(of_the_future=3)))
    assert "of_the_future" in text
    assert f"written by Keras 3.99.0, and here is {keras.__version__}: install keras>=3.99.0" in text


def test_a_file_of_this_keras_is_not_said_to_be_newer(tmp_path):
    path = changed(tmp_path, keras.__version__, lambda layer: layer["config"].update(of_the_future=3))
    text = refusal(path)
    assert "of_the_future" in text
    assert "was written by" not in text
    assert newer_keras(path) == ""


def test_versions_are_compared_as_numbers(tmp_path):
    assert "3.100.0" in newer_keras(changed(tmp_path, "3.100.0", lambda layer: None))
    assert newer_keras(changed(tmp_path, "3.2.0", lambda layer: None)) == ""
    assert newer_keras(changed(tmp_path, "2.99.0", lambda layer: None)) != ""


def test_the_cause_is_the_last_line():
    assert cause_in("What.\n\nhow\n  why \n") == "What: why"
    assert cause_in("One line.") == "One line."
    assert cause_in("") == "no more is known"
    assert len(cause_in("a" * 2000 + "\n" + "b" * 2000)) < 1100
