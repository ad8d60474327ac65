"""Keras models in files: ``.keras`` and ``.h5``, of Keras 3 and of Keras 2.

Imports TensorFlow: only to be imported where a model is loaded.
"""

import contextlib
import importlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from transforms.model.errors import ModelRefused
from transforms.model.load.from_keras.bounded_passes import ending_reconstruction
from transforms.model.load.from_keras.bounded_weights import at_most_weights
from transforms.model.load.from_keras.config_check import BY_FACTORY, HUB_LAYER, layers_of_applications, refuse_code
from transforms.model.load.from_keras.described import KerasFile, nodes, read_keras_file, without_training
from transforms.model.load.from_keras.harmless_names import OF_APPLICATIONS
from transforms.model.load.from_keras.keras_hub_names import hub_classes, is_harmless_hub_class
from transforms.model.load.from_keras.operations_in_h5 import with_modules_of_operations
from transforms.model.load.from_keras.stored_weights import count_weights, stored_weights
from transforms.model.load.from_keras.told_by_keras import cause_in, newer_keras
from transforms.model.load.from_savedmodel import refuse_code_in_savedmodel
from transforms.model.load.hub_library import import_hub, refuse_missing_module

_KERAS_PACKAGES = ("keras", "tf_keras", "builtins")


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
    for node in nodes(described.config):
        if node["class_name"] == HUB_LAYER:
            refuse_missing_module(_handle(node, source), source, trust)
    config = described.config if trust else without_training(described.config)
    if described.suffix == ".h5" and described.major >= 3:
        config = with_modules_of_operations(config)
    if trust:
        custom_objects = _named_objects(described, source)
        with _as_checked(path, described, config) as checked:
            return _load(checked, source, described, custom_objects, safe_mode=False)
    refuse_code(config, source)
    for node in nodes(config):
        if node["class_name"] == HUB_LAYER:
            refuse_code_in_savedmodel(Path(_handle(node, source)), f"{source}: {_handle(node, source)}")
    custom_objects = _known_objects(config, described.major, source)
    try:
        with stored_weights(path, described.suffix) as file:
            stored = count_weights(file, source)
    except (OSError, RuntimeError, LookupError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, ModelRefused):
            raise
        raise ModelRefused(f"{source} cannot be loaded: its weights are damaged: {error}") from error
    with (
        _as_checked(path, described, config) as checked,
        at_most_weights(stored, source),
        ending_reconstruction(source),
    ):
        return _load(checked, source, described, custom_objects, safe_mode=True)


def _load(path: Path, source: str, described: KerasFile, custom_objects: dict[str, Any], safe_mode: bool) -> Any:
    library = _library(described.major)
    try:
        return library.models.load_model(path, custom_objects=custom_objects, compile=False, safe_mode=safe_mode)
    except ModelRefused:
        raise
    except Exception as error:
        # Whatever goes wrong in a model file is said about the model file; Keras raises a dozen types here.
        refused = _refusal_behind(error)
        raise ModelRefused(refused or _explained(error, source) + newer_keras(path)) from error


def _library(major: int) -> Any:
    if major >= 3:
        import keras as library
    else:
        import tf_keras as library
    return library


@contextlib.contextmanager
def _as_checked(path: Path, described: KerasFile, config: dict[str, Any]) -> Iterator[Path]:
    """The file under the suffix that it was read by, since Keras goes by the suffix; and with what was checked."""
    # The training of the outermost model is left out by compile=False.
    is_whole = all(config.get(key) == value for key, value in described.config.items() if key != "compile_config")
    if is_whole and path.suffix == described.suffix:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-keras-") as folder:
        checked = Path(folder) / f"{path.stem}{described.suffix}"
        if is_whole:
            checked.symlink_to(path.resolve())
        elif described.suffix == ".keras":
            with zipfile.ZipFile(path) as whole, zipfile.ZipFile(checked, "w") as rest:
                for info in whole.infolist():
                    if info.filename == "config.json":
                        rest.writestr(info.filename, json.dumps(config))
                    elif not info.is_dir():
                        with whole.open(info) as member, rest.open(info.filename, "w", force_zip64=True) as copy:
                            shutil.copyfileobj(member, copy)
        else:
            shutil.copyfile(path, checked)
            with h5py.File(checked, "r+") as file:
                file.attrs["model_config"] = json.dumps(config)
        yield checked


def _handle(node: dict[str, Any], source: str) -> str:
    config = node.get("config")
    handle = config.get("handle") if isinstance(config, dict) else None
    if not isinstance(handle, str) or not handle:
        raise ModelRefused(
            f"{source} is damaged: its hub.KerasLayer does not say which module of TF Hub it is: save it again, or "
            "save the model as a SavedModel, which holds the module too: model.save(DIRECTORY, save_format='tf')"
        )
    return handle


def _is_of_hub(node: dict[str, Any]) -> bool:
    return is_harmless_hub_class(node["class_name"], node.get("module"), node.get("registered_name"))


def _known_objects(config: dict[str, Any], major: int, source: str) -> dict[str, Any]:
    """What an untrusted file may name and Keras does not find by itself."""
    objects: dict[str, Any] = {}
    if any(node["class_name"] == HUB_LAYER for node in nodes(config)):
        objects[HUB_LAYER] = import_hub().KerasLayer
    hub = {n["class_name"] for n in nodes(config) if _is_of_hub(n)}
    objects |= hub_classes(hub, source)
    for name in layers_of_applications(config):
        module = importlib.import_module(f"{_library(major).__name__}.src.{OF_APPLICATIONS[name]}")
        if hasattr(module, name.removeprefix("Custom>")):
            objects[name] = getattr(module, name.removeprefix("Custom>"))
    return objects


def _named_objects(described: KerasFile, source: str) -> dict[str, Any]:
    """What a trusted file names and Keras does not have, imported from where it says."""
    objects = _known_objects(described.config, described.major, source)
    for node in nodes(described.config):
        name, module = node["class_name"], node.get("module")
        if name == HUB_LAYER or name in OF_APPLICATIONS or _is_of_hub(node):
            continue
        if isinstance(module, str) and module.split(".")[0] not in _KERAS_PACKAGES:
            # The name of a function is in its config, that of a class in class_name.
            name = node.get("config") if name == "function" else name
            objects[str(node.get("registered_name") or name)] = _import_object(module, str(name), source)
    return objects


def _import_object(module: str, name: str, source: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelRefused(
            f"{source} is built with {module}.{name}, which cannot be imported here ({error}): install its package or "
            f"put it on PYTHONPATH; or {BY_FACTORY}"
        ) from error


def _refusal_behind(error: BaseException | None) -> str | None:
    """What we said ourselves while Keras was building, which Keras may have wrapped."""
    while error is not None:
        if isinstance(error, ModelRefused):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def _explained(error: Exception, source: str) -> str:
    message = str(error)
    custom = re.search(
        r"(?:Could not locate (?:class|function)|Unknown (?:layer|object|class)[^']*)\s*'([^']+)'", message
    )
    if custom:
        return (
            f"{source} is built with the custom object {custom.group(1)}, which is not part of Keras. Remedy: "
            f"{BY_FACTORY}"
        )
    remedy = ". If you know who wrote it, say model.trust: true" if "safe_mode" in message else ""
    return f"{source} cannot be loaded: {type(error).__name__}: {cause_in(message)}{remedy}"
