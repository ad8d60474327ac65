"""Model files as a stranger may write them: configurations of Keras by hand, with weights that fit nothing."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

KERAS_2, KERAS_3 = "2.15.0", "3.5.0"


def layer(class_name: str, module: str | None = "keras.layers", name: str | None = None, **config: Any) -> dict:
    """A layer on ``images`` of a functional model, in the notation of Keras 2 and of Keras 3."""
    name = name or class_name.lower()
    node = {"class_name": class_name, "config": {"name": name, **config}, "name": name, "inbound_nodes": []}
    return node if module is None else {**node, "module": module, "registered_name": None}


def calling(symbol: str, first: Any, **keywords: Any) -> dict:
    """An op layer of Keras 2 that calls a symbol of TensorFlow with constants."""
    called = layer("TFOpLambda", name="op", function=symbol, trainable=True, dtype="float32")
    return {**called, "inbound_nodes": [["_CONSTANT_VALUE", -1, first, keywords]]}


def functional(*layers: dict, version: str = KERAS_2) -> dict:
    """A model that gives back its images [None, 8, 8, 3]; ``layers`` lie beside that."""
    shape = "batch_input_shape" if version == KERAS_2 else "batch_shape"
    images = layer("InputLayer", name="images", dtype="float32", **{shape: [None, 8, 8, 3]})
    config = {
        "name": "stranger",
        "trainable": True,
        "layers": [images, *layers],
        "input_layers": [["images", 0, 0]],
        "output_layers": [["images", 0, 0]],
    }
    home = "keras.src.engine.functional" if version == KERAS_2 else "keras.src.models.functional"
    return {"module": home, "class_name": "Functional", "config": config, "registered_name": "Functional"}


def sequential(*layers: dict, shape: tuple = (None, 8, 8, 3), version: str = KERAS_2) -> dict:
    """The layers one after another, behind an input."""
    key = "batch_input_shape" if version == KERAS_2 else "batch_shape"
    images = layer("InputLayer", name="images", dtype="float32", **{key: list(shape)})
    config = {"name": "stranger", "layers": [images, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def write(path: Path, config: Any, version: Any = KERAS_2, metadata: Any = None) -> Path:
    """A model file in the format of its suffix, with no weights in it."""
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs["keras_version"] = version
            file.attrs["backend"] = "tensorflow"
            file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
            weights = file.create_group("model_weights")
            weights.attrs["layer_names"] = []
            weights.attrs["keras_version"] = version
            weights.attrs["backend"] = "tensorflow"
        return path
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version} if metadata is None else metadata))
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
    return path
