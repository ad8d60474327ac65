"""What a Keras file says of itself, read before anything in it is built. No TensorFlow here."""

import dataclasses
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from transforms.model.errors import ModelRefused

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")  # of a .keras file
_MOST_TEXT = 1 << 26  # bytes; the configuration of NASNetLarge has 1.5 MB
_DEEPEST = 200  # dicts and lists in each other; a model in a model in a model has about 40


@dataclasses.dataclass(frozen=True)
class KerasFile:
    """What a model file says of itself before anything in it is built."""

    major: int  # of the Keras that wrote it
    config: dict[str, Any]
    suffix: str  # .keras or .h5: what it is, whatever it is called


def read_keras_file(path: Path, source: str) -> KerasFile:
    """The version and the configuration in a ``.keras`` or ``.h5`` file.

    Raises:
        ModelRefused: the file is damaged, holds weights alone, or says of itself what no Keras writes.
    """
    try:
        if zipfile.is_zipfile(path):
            version, config, suffix = *_from_zip(path, source), ".keras"
        else:
            version, config, suffix = *_from_hdf5(path, source), ".h5"
        found = re.match(r"\d{1,4}(?=\.|$)", version) if isinstance(version, str) else None
        if found is None:
            raise ValueError(f"the version of Keras in it is {_short(version)}, not such as 3.5.0")
        if not isinstance(config, dict):
            raise ValueError(f"its configuration is a {type(config).__name__}, not one of a model")
        if not isinstance(config.get("class_name"), str) or "config" not in config:
            raise ValueError("its configuration does not say of which class the model is")
        nodes(config)
        return KerasFile(int(found.group()), config, suffix)
    # What damaged bytes raise: in zipfile, zlib, h5py, and json where it is nested too deep.
    except (OSError, LookupError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, ModelRefused):
            raise
        cause = "its configuration is nested too deep" if isinstance(error, RecursionError) else error
        raise ModelRefused(f"{source} is not a Keras model file, or it is damaged: {cause}") from error


def nodes(config: Any) -> list[dict[str, Any]]:
    """All dicts in a configuration that name a class, in no particular order.

    Raises:
        ValueError: it is nested deeper than any model is.
    """
    return [value for value in dicts(config) if "class_name" in value]


def dicts(config: Any) -> Iterator[dict[str, Any]]:
    """All dicts in a configuration.

    Raises:
        ValueError: it is nested deeper than any model is.
    """
    pending = [(config, 0)]
    while pending:
        value, depth = pending.pop()
        if depth > _DEEPEST:
            raise ValueError("its configuration is nested too deep")
        if isinstance(value, dict):
            yield value
            pending.extend((child, depth + 1) for child in value.values())
        elif isinstance(value, list):
            pending.extend((child, depth + 1) for child in value)


def without_training(config: Any) -> Any:
    """A configuration without the losses, metrics and optimizers of the models in it: scores need none of them."""
    if isinstance(config, dict):
        return {key: without_training(value) for key, value in config.items() if key != "compile_config"}
    return [without_training(value) for value in config] if isinstance(config, list) else config


def _from_zip(path: Path, source: str) -> tuple[Any, Any]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) != len(set(names)):
            raise ValueError("it holds two files of one name")
        for info in archive.infolist():
            most = _MOST_TEXT if info.filename != MEMBERS[2] else max(_MOST_TEXT, 100 * info.compress_size)
            if info.file_size > most:
                raise ValueError(f"{info.filename} in it would unpack to {info.file_size:,} bytes")
        if MEMBERS[2] not in names:
            raise ModelRefused(f"{source} has no {MEMBERS[2]}: save the model with its weights, model.save(PATH)")
        metadata = json.loads(archive.read(MEMBERS[0]))
        if not isinstance(metadata, dict) or "keras_version" not in metadata:
            raise ValueError("its metadata.json does not say which Keras wrote it")
        return metadata["keras_version"], json.loads(archive.read(MEMBERS[1]))


def _from_hdf5(path: Path, source: str) -> tuple[Any, Any]:
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ModelRefused(
                f"{source} holds weights and no architecture: give it as model.weights, and as model.source the "
                "architecture: keras:NAME, or package.module:function that builds the model"
            )
        version, config = (_text(file.attrs.get(key, "2")) for key in ("keras_version", "model_config"))
        return version, json.loads(config)


def _text(value: Any) -> str:
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise ValueError(f"{_short(value)} where it should have text")
    if len(text) > _MOST_TEXT:
        raise ValueError(f"its configuration has {len(text):,} characters")
    return text


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."
