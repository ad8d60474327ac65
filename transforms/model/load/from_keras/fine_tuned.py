"""``keras:NAME`` with a weights file: the usual ways to put a head on an application, tried until one fits.

Imports Keras and tf_keras: only to be imported where a model is loaded.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tf_keras

from transforms.model.errors import ModelRefused
from transforms.model.load.from_keras.applications import build_application
from transforms.model.load.from_keras.weights import WeightsFile, load_weights, open_weights


def application_with_weights(
    name: str, path: Path, input_size: str | tuple[int, int], weights_name: str
) -> tuple[Any, str]:
    """The application that the weights in a file belong to, and a note that says how its head was found.

    Args:
        name: of the application, such as MobileNet.
        path: of the file, on the local disk.
        weights_name: what to call the file in errors.

    Raises:
        ModelRefused: no usual head fits the file.
    """
    with open_weights(path, weights_name) as weights:
        if not weights.class_counts:
            raise ModelRefused(
                f"model.weights {weights_name} holds no classifier, such as a Dense layer: keras:{name} with these "
                "weights gives features, and Grad-CAM needs the score of a class. Train a head on top and save it all"
            )
        tried = []
        for description, model in _candidates(name, weights.class_counts, input_size):
            if _fits(model, weights, description):
                return model, f"{weights_name} fits {description}"
            tried.append(description)
    raise ModelRefused(
        f"model.weights {weights_name} fits none of: {'; '.join(dict.fromkeys(tried))}. Build the model as it was "
        "trained in a Python function without arguments and say model.source: package.module:function"
    )


def _fits(model: Any, weights: WeightsFile, description: str) -> bool:
    if sum(weights.arrays.values()) != len(model.weights):
        return False
    try:
        load_weights(model, weights, description)
    except ModelRefused:
        return False
    return True


def _candidates(
    name: str, class_counts: tuple[int, ...], input_size: str | tuple[int, int]
) -> Iterator[tuple[str, Any]]:
    """Each architecture with its description: its own head; a new one on the base's layers; one on the base as a layer.

    Files of Keras 2 list what is trainable first, so that they also tell whether the base was frozen.
    """
    for library in (keras, tf_keras):
        for classes in class_counts:
            activation = "sigmoid" if classes == 1 else "softmax"
            own = {"classes": classes, "classifier_activation": activation}
            model = build_application(name, None, input_size, library, **own)
            yield f"keras:{name} with its own head of {classes} classes", model

            base = build_application(name, None, input_size, library, include_top=False)
            description = f"keras:{name} with a Dense head of {classes} classes"
            yield description, _with_head(library, base.input, base.output, classes, activation)
            images = library.Input(base.input_shape[1:])
            nested = _with_head(library, images, base(images), classes, activation)
            for trainable in (True, False):
                base.trainable = trainable
                yield description, nested


def _with_head(library: Any, images: Any, features: Any, classes: int, activation: str) -> Any:
    pooled = library.layers.GlobalAveragePooling2D()(features)
    return library.Model(images, library.layers.Dense(classes, activation=activation)(pooled))
