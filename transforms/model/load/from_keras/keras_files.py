"""Keras models in files: ``.keras`` and ``.h5``, of Keras 3 and of Keras 2.

Imports TensorFlow: only to be imported where a model is loaded.
"""

import dataclasses
import importlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from transforms.model.errors import ModelRefused
from transforms.model.load.from_keras.told_by_keras import cause_in, newer_keras
from transforms.model.load.hub_library import import_hub, refuse_missing_module

_BY_FACTORY = (
    "build or load the model in a Python function of your own, with custom_objects, and name it: "
    "model.source: package.module:function"
)
_KERAS_PACKAGES = ("keras", "tf_keras", "builtins")
_HUB_LAYER = "KerasLayer"


@dataclasses.dataclass(frozen=True)
class KerasFile:
    """What a model file says of itself before anything in it is built."""

    major: int  # of the Keras that wrote it
    config: dict[str, Any]


def load_keras_file(path: Path, source: str, trust: bool) -> Any:
    """The Keras model in a file, built by the Keras that wrote it: Keras 3, or tf_keras for Keras 2.

    Args:
        path: the file on the local disk.
        source: what to call it in errors.
        trust: run the code that the file carries or names.

    Raises:
        ModelRefused: no model, code that is not trusted, a custom object that is not known ...
    """
    described = read_keras_file(path, source)
    custom_objects = _custom_objects(described.config, source, trust)
    if described.major >= 3:
        import keras as library
    else:
        import tf_keras as library
    try:
        return library.models.load_model(path, custom_objects=custom_objects, compile=False, safe_mode=not trust)
    except (TypeError, ValueError, OSError, RuntimeError, AttributeError, ImportError, KeyError) as error:
        raise ModelRefused(_explained(error, source) + newer_keras(path)) from error


def read_keras_file(path: Path, source: str) -> KerasFile:
    """The version and the configuration in a ``.keras`` or ``.h5`` file.

    Raises:
        ModelRefused: the file is damaged, or holds weights alone.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                version = json.loads(archive.read("metadata.json"))["keras_version"]
                return KerasFile(int(version.split(".")[0]), json.loads(archive.read("config.json")))
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise ModelRefused(
                    f"{source} holds weights and no architecture: give it as model.weights, and as model.source the "
                    "architecture: keras:NAME, or package.module:function that builds the model"
                )
            version, config = (_text(file.attrs.get(key, "2")) for key in ("keras_version", "model_config"))
            return KerasFile(int(version.split(".")[0]), json.loads(config))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, ModelRefused):
            raise
        raise ModelRefused(f"{source} is not a Keras model file, or it is damaged: {error}") from error


def _custom_objects(config: dict[str, Any], source: str, trust: bool) -> dict[str, Any]:
    """What the file needs and Keras does not have: hub.KerasLayer always, other code only where it is trusted."""
    objects: dict[str, Any] = {}
    for node in _nodes(config):
        name, module = node.get("class_name"), node.get("module")
        if name in ("Lambda", "__lambda__") and not trust:
            layer = _layer_name(node)
            raise ModelRefused(
                f"{source} carries Python code in a Lambda layer{layer}: if you know who wrote it, say model.trust: "
                "true; or replace the layer (a Rescaling layer, keras.ops) and save again"
            )
        if name == _HUB_LAYER:
            refuse_missing_module(node["config"]["handle"], source)
            objects[_HUB_LAYER] = import_hub().KerasLayer
        elif isinstance(module, str) and module.split(".")[0] not in _KERAS_PACKAGES:
            # The name of a function is in its config, that of a class in class_name.
            name = node["config"] if name == "function" else name
            objects[str(node.get("registered_name") or name)] = _import_object(module, str(name), source, trust)
    return objects


def _import_object(module: str, name: str, source: str, trust: bool) -> Any:
    if not trust:
        raise ModelRefused(
            f"{source} is built with {module}.{name}, which is not part of Keras: say model.trust: true to import it "
            f"from {module}; or {_BY_FACTORY}"
        )
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelRefused(
            f"{source} is built with {module}.{name}, which cannot be imported here ({error}): install its package or "
            f"put it on PYTHONPATH; or {_BY_FACTORY}"
        ) from error


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    """All dicts in a configuration that describe an object."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "class_name" in value and "config" in value:
                yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _layer_name(node: dict[str, Any]) -> str:
    config = node["config"]
    return f" ({config['name']})" if isinstance(config, dict) and "name" in config else ""


def _explained(error: Exception, source: str) -> str:
    message = str(error)
    custom = re.search(
        r"(?:Could not locate (?:class|function)|Unknown (?:layer|object|class)[^']*)\s*'([^']+)'", message
    )
    if custom:
        return (
            f"{source} is built with the custom object {custom.group(1)}, which is not part of Keras. Remedy: "
            f"{_BY_FACTORY}"
        )
    remedy = ". If you know who wrote it, say model.trust: true" if "safe_mode" in message else ""
    return f"{source} cannot be loaded: {type(error).__name__}: {cause_in(message)}{remedy}"


def _text(value: str | bytes) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
