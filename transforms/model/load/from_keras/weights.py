"""Weights files of Keras 3 and Keras 2, in all of their layouts.

Imports TensorFlow: only to be imported where a model is loaded.
"""

import collections
import contextlib
import dataclasses
import hashlib
import io
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.load.from_keras.stored_weights import count_weights

# Groups beside those of the layers: what training needs, and the seeds of augmentation and dropout.
_NOT_WEIGHTS = frozenset(("optimizer", "optimizer_weights", "seed_generator", "metrics", "compile_metrics"))

Array = tuple[tuple[int, ...], bytes]
"""Shape and digest of a weight: the same in every layout and under every name."""


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """What a weights file tells of the architecture that it was saved from."""

    name: str  # what to call it in errors
    path: Path  # with the suffix that its layout is read by
    arrays: collections.Counter[Array]
    class_counts: tuple[int, ...]  # outputs of the linear layers that no other linear layer takes


@contextlib.contextmanager
def open_weights(path: Path, name: str) -> Iterator[WeightsFile]:
    """Look into a weights file, and link it under a name that Keras recognises its layout by.

    Args:
        path: on the local disk.
        name: what to call it in errors.

    Raises:
        ModelRefused: it is not a weights file of Keras.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                count_weights(file, f"model.weights {name}")
                arrays, suffix = _arrays(file), ".keras"
        else:
            with h5py.File(path, "r") as file:
                legacy = "layer_names" in file.attrs or "model_weights" in file
                count_weights(file, f"model.weights {name}")
                arrays, suffix = _arrays(file), ".h5" if legacy else ".weights.h5"
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelRefused(
            f"model.weights {name} is not a weights file of Keras (.weights.h5, .h5 or .keras), or is damaged: {error}"
        ) from error
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-weights-") as folder:
        link = Path(folder) / f"weights{suffix}"
        link.symlink_to(path.resolve())
        every = collections.Counter(array for group in arrays for array in group)
        yield WeightsFile(name, link, every, _class_counts(arrays))


def load_weights(model: Any, weights: WeightsFile, architecture: str) -> None:
    """Put the weights of a file into a Keras model, and see that each weight of the model was in the file.

    Keras passes over layers that it finds nothing for in some layouts, with a warning at most.

    Raises:
        ModelRefused: they are not of this architecture.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(weights.path)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, NotImplementedError) as error:
        raise ModelRefused(
            f"model.weights {weights.name} does not fit {architecture}: {str(error).strip().splitlines()[0]}"
        ) from error
    own = collections.Counter(_array(np.asarray(weight)) for weight in model.weights)
    missing = own - weights.arrays
    if missing:
        raise ModelRefused(
            f"model.weights {weights.name} does not fit {architecture}: {missing.total()} of its {own.total()} weights "
            "are not in the file"
        )


def _arrays(file: Any) -> list[list[Array]]:
    """The weights of each layer: the arrays of each group, but for those that are not of layers."""
    found = []
    pending = [file]
    while pending:
        children = dict(pending.pop())
        found.append([_array(child[()]) for child in children.values() if isinstance(child, h5py.Dataset)])
        pending += [
            child for key, child in children.items() if isinstance(child, h5py.Group) and key not in _NOT_WEIGHTS
        ]
    return found


def _array(values: np.ndarray) -> Array:
    return values.shape, hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).digest()


def _class_counts(groups: list[list[Array]]) -> tuple[int, ...]:
    """Of Dense layers and 1x1 convolutions with a bias, the widths that none of them takes as its input."""
    linear = []
    for group in groups:
        shapes = [shape for shape, _ in group]
        kernels = [shape for shape in shapes if len(shape) == 2 or (len(shape) == 4 and shape[:2] == (1, 1))]
        if len(shapes) == 2 and len(kernels) == 1 and (kernels[0][-1],) in shapes:
            linear.append(kernels[0][-2:])
    taken = {inputs for inputs, _ in linear}
    return tuple(sorted({outputs for _, outputs in linear} - taken))
