"""TF Hub as a library, and ``hub.KerasLayer`` inside of models. Imports TensorFlow."""

import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.tensorflow import tf


def import_hub() -> Any:
    """Import tensorflow_hub without its warning on pkg_resources, which is pinned for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        import tensorflow_hub
    return tensorflow_hub


def refuse_missing_module(handle: str, source: str, trust: bool) -> None:
    """Refuse a Keras file with a ``hub.KerasLayer`` whose module, which lies outside of the file, is not there.

    Without trust the module must be a local directory: what a stranger's file names is not fetched.

    Raises:
        ModelRefused: with the remedy.
    """
    if not trust and "://" in handle:
        raise ModelRefused(
            f"{source} fetches a part of itself, a hub.KerasLayer, from {handle}: if you know who wrote it, say "
            "model.trust: true; or save the model where it was trained as a SavedModel, which holds the module too: "
            "model.save(DIRECTORY, save_format='tf')"
        )
    try:
        found = tf.io.gfile.isdir(import_hub().resolve(handle) if trust else handle)
        cause = "there is no such directory"
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        found, cause = False, f"{type(error).__name__}: {error}"
    if not found:
        raise ModelRefused(
            f"{source} needs the TF Hub module {handle} ({cause}): put it there, or save the model where it was "
            "trained as a SavedModel, which holds the module too: model.save(DIRECTORY, save_format='tf')"
        )


def hub_layers(model: Any) -> frozenset[str]:
    """The names of the ``hub.KerasLayer`` in a Keras model."""
    layers: Iterable[Any] = getattr(model, "submodules", ())
    return frozenset(layer.name for layer in layers if type(layer).__name__ == "KerasLayer")


def hub_layers_in_savedmodel(folder: Path) -> frozenset[str]:
    """The names of the ``hub.KerasLayer`` in a SavedModel that Keras 2 wrote; none where it was written otherwise.

    Raises:
        ModelRefused: what Keras wrote beside the graph is damaged.
    """
    path = folder / "keras_metadata.pb"
    if not path.is_file():
        return frozenset()
    from tf_keras.protobuf import saved_metadata_pb2

    try:
        nodes = saved_metadata_pb2.SavedMetadata.FromString(path.read_bytes()).nodes
        described = [json.loads(node.metadata) for node in nodes if node.identifier.startswith("_tf_keras_")]
        return frozenset(str(layer["name"]) for layer in described if layer.get("class_name") == "KerasLayer")
    except Exception as error:
        # The protocol buffers' DecodeError is of no public class; JSON fails in three ways, and its content in three.
        raise ModelRefused(
            f"{path} is damaged ({type(error).__name__}: {error}): save the model again; without this file it loads too"
        ) from error


def lies_in(operation: str, layers: frozenset[str]) -> bool:
    """Whether an operation lies in one of the layers, by its name; a layer is numbered when it is called again."""
    scopes = operation.split("/")
    return not layers.isdisjoint([*scopes, *(re.sub(r"_\d+$", "", scope) for scope in scopes)])
