"""``hub:HANDLE``: TF Hub modules, of TF2 and in the TF1 Hub format. Imports TensorFlow and TF Hub."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.flatten import flatten
from transforms.model.graphs import import_graph, same_value
from transforms.model.hub_library import import_hub
from transforms.model.local_copy import local_copy
from transforms.model.options import ModelOptions
from transforms.model.savedmodel import choose_endpoint, endpoints_of, load_savedmodel, trace_endpoint
from transforms.model.traced import TracedModel

# The common signatures of Hub's image modules, the one with scores first.
_TF1_SIGNATURES = ("image_classification", "default")
_OUTPUT = "default"  # beside the network's inner end points
_RESHAPES = ("Squeeze", "Reshape", "ConcatV2", "Pack", "Cast")
_LINEAR = ("Conv2D", "BiasAdd", "MatMul", "Placeholder")


def load_hub_module(handle: str, options: ModelOptions, storage: Mapping[str, dict[str, Any]]) -> TracedModel:
    """Load and trace a module: by its ``__call__(images, training=False)``, or by its signature in the TF1 format.

    Raises:
        ModelRefused: it cannot be found or loaded, takes no images, or gives features in place of class scores.
    """
    with _unpacked(handle, storage) as folder:
        is_tf1 = (folder / "tfhub_module.pb").is_file()
        loaded = load_savedmodel(folder, f"hub:{handle}", [] if is_tf1 else None)
    endpoints = endpoints_of(loaded)
    wanted = options.signature
    if wanted is None:
        preferred = _TF1_SIGNATURES if is_tf1 else ("__call__",)
        wanted = next((name for name in preferred if name in endpoints and endpoints[name].takes_images), None)
    endpoint, notes = choose_endpoint(endpoints, wanted, f"hub:{handle}")
    traced = trace_endpoint(endpoint, options.input_size, loaded, _OUTPUT if options.output is None else None, notes)
    if options.output is None and _gives_features(traced):
        raise ModelRefused(
            f"hub:{handle} gives feature vectors of {traced.function.outputs[0].shape[-1]} numbers, not class scores, "
            "and Grad-CAM needs the score of a class: train a head on top, "
            "tf_keras.Sequential([hub.KerasLayer(HANDLE), tf_keras.layers.Dense(CLASSES)]), save it as .keras, .h5 or "
            "SavedModel, and explain that. Should these be class scores after all, say "
            f"model.output: {traced.outputs[0]}"
        )
    return traced


@contextlib.contextmanager
def _unpacked(handle: str, storage: Mapping[str, dict[str, Any]]) -> Iterator[Path]:
    if not handle.startswith(("http://", "https://")):
        with local_copy(handle, storage) as path:
            yield path
        return
    try:
        folder = import_hub().resolve(handle)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelRefused(
            f"hub:{handle} cannot be downloaded ({type(error).__name__}: {error}): run where the network allows it, or "
            "unpack the module into a directory and say hub:DIRECTORY"
        ) from error
    yield Path(folder)


def _gives_features(traced: TracedModel) -> bool:
    """Whether the output is a global average of activations: no weights of a classifier come after it."""
    if len(traced.outputs) != 1:
        return False
    flat = flatten(traced.function)
    graph = import_graph(flat.graph_def)
    tensor = same_value(graph.get_tensor_by_name(flat.outputs[0]))
    while tensor.op.type in _RESHAPES:
        tensor = same_value(tensor.op.inputs[0])
    # Where the average follows a linear layer directly, it averages class scores.
    return (
        tensor.op.type in ("Mean", "AvgPool", "Max", "MaxPool")
        and same_value(tensor.op.inputs[0]).op.type not in _LINEAR
    )
