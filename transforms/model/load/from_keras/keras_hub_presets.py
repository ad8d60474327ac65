"""``keras_hub:PRESET``: image classifiers of KerasHub, from a folder or a handle that KerasHub resolves.

Imports TensorFlow: only to be imported where a model is loaded.
"""

import json
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from transforms.model.errors import ModelRefused
from transforms.model.load.from_keras.bounded_weights import at_most_weights
from transforms.model.load.from_keras.config_check import refuse_code
from transforms.model.load.from_keras.keras_hub_names import import_keras_hub
from transforms.model.load.from_keras.stored_weights import count_weights
from transforms.model.load.from_keras.told_by_keras import cause_in

_CONFIGS = ("config.json", "task.json", "preprocessor.json", "image_converter.json")
_WEIGHTS = ("model.weights.h5", "task.weights.h5")
_MOST_TEXT = 1 << 24  # bytes


def load_preset(preset: str, source: str, trust: bool) -> Any:
    """The image classifier in a preset, with its preprocessor.

    Args:
        preset: a local folder, or a handle: ``hf://USER/MODEL``, ``kaggle://...``, a preset's name.
        source: what to call it in errors.
        trust: run the code that its files name.

    Raises:
        ModelRefused: KerasHub is not there, the preset is no image classifier, or names more than KerasHub's own.
    """
    hub = import_keras_hub(source)
    files = {name: _file(preset, name, source) for name in (*_CONFIGS, *_WEIGHTS)}
    if files["config.json"] is None:
        raise ModelRefused(f"{source} is no preset of KerasHub: there is no config.json in it")
    if files["task.json"] is None or files["task.weights.h5"] is None:
        raise ModelRefused(
            f"{source} is a backbone without a classifier: it has no task.json. Save the whole task, "
            "classifier.save_to_preset(FOLDER), or give a .keras file of it"
        )
    stored = 0
    for name in _CONFIGS:
        path = files[name]
        if path is not None and not trust:
            refuse_code(_config(path, source), source)
    for name in _WEIGHTS:
        path = files[name]
        if path is not None:
            stored += _count(path, source)
    try:
        with at_most_weights(stored, source):
            return hub.models.ImageClassifier.from_preset(preset)
    except ModelRefused:
        raise
    except Exception as error:  # whatever goes wrong in a preset is said about the preset
        raise ModelRefused(f"{source} cannot be loaded: {type(error).__name__}: {cause_in(str(error))}") from error


def _file(preset: str, name: str, source: str) -> Path | None:
    """Where KerasHub has a file of a preset; None where the preset has none of that name."""
    # What resolves handles, and answers for folders too. Not public: test_keras_hub_presets.py pins it.
    from keras_hub.src.utils.preset_utils import get_file

    try:
        return Path(get_file(preset, name))
    except FileNotFoundError:
        return None
    except Exception as error:  # of the libraries of the stores behind the handles
        if "404" in str(error) or "not found" in str(error).lower():
            return None
        raise ModelRefused(f"{source} cannot be read: {type(error).__name__}: {cause_in(str(error))}") from error


def _config(path: Path, source: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise ValueError(f"it has {path.stat().st_size:,} bytes")
        config = json.loads(path.read_text())
        if not isinstance(config, dict):
            raise ValueError(f"it holds a {type(config).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused(f"{source}: {path.name} is damaged: {error}") from error
    return config


def _count(path: Path, source: str) -> int:
    try:
        with h5py.File(path, "r") as file:
            return count_weights(file, source)
    except (OSError, RuntimeError, LookupError, ValueError) as error:
        if isinstance(error, ModelRefused):
            raise
        raise ModelRefused(f"{source}: {path.name} is damaged: {error}") from error
