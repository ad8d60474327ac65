"""``keras:NAME`` with a weights file: the usual ways to put a head on an application, tried until one fits.

Imports Keras and tf_keras: only to be imported where a model is loaded.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tf_keras

from transforms.model.applications import build_application
from transforms.model.errors import ModelRefused
from transforms.model.weights import WeightsFile, load_weights, open_weights, temporary_folder


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
    tried = []
    with temporary_folder() as folder:
        weights = open_weights(path, Path(folder), weights_name)
        for description, model in _candidates(name, weights.class_counts, input_size):
            if model.count_params() == weights.parameters and _fits(model, weights, weights_name, description):
                return model, f"{weights_name} fits {description}"
            tried.append(f"{description} ({model.count_params():,})")
    if not tried:
        raise ModelRefused(
            f"model.weights {weights_name} holds no classifier, such as a Dense layer: keras:{name} with these weights "
            "gives features, and Grad-CAM needs the score of a class. Train a head on top and save the whole"
        )
    raise ModelRefused(
        f"model.weights {weights_name} ({weights.parameters:,} parameters, classes: "
        f"{' or '.join(map(str, weights.class_counts))}) fits none of: {'; '.join(dict.fromkeys(tried))}. Build the "
        "model as it was trained in a Python function without arguments and say model.source: package.module:function"
    )


def _fits(model: Any, weights: WeightsFile, weights_name: str, description: str) -> bool:
    try:
        load_weights(model, weights, weights_name, description)
    except ModelRefused:
        return False
    return True


def _candidates(
    name: str, class_counts: tuple[int, ...], input_size: str | tuple[int, int]
) -> Iterator[tuple[str, Any]]:
    for library in (keras, tf_keras):
        for classes in class_counts:
            activation = "sigmoid" if classes == 1 else "softmax"
            top = {"classes": classes, "classifier_activation": activation}
            yield f"keras:{name} with its own head of {classes} classes", _build(library, name, input_size, **top)
            base = _build(library, name, input_size, include_top=False)
            described = f"keras:{name} with a Dense head of {classes} classes"
            scores = library.layers.Dense(classes, activation=activation)
            pooled = library.layers.GlobalAveragePooling2D()(base.output)
            yield described, library.Model(base.input, scores(pooled))
            # A weights file of Keras 2 lists what is trainable first, so that it also tells what was frozen.
            for trainable in (True, False):
                base = _build(library, name, input_size, include_top=False)
                base.trainable = trainable
                images = library.Input(base.input_shape[1:])
                pooled = library.layers.GlobalAveragePooling2D()(base(images))
                scores = library.layers.Dense(classes, activation=activation)
                yield described, library.Model(images, scores(pooled))


def _build(library: Any, name: str, input_size: str | tuple[int, int], **options: Any) -> Any:
    return build_application(name, None, input_size, library=library, **options)
