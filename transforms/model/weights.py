"""Weights files of Keras 3 and Keras 2, in all of their layouts.

Imports TensorFlow: only to be imported where a model is loaded.
"""

import dataclasses
import io
import math
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from transforms.model.errors import ModelRefused

# Groups beside those of the layers: what training needs, and the seeds of augmentation and dropout.
_NOT_WEIGHTS = ("optimizer", "optimizer_weights", "seed_generator", "_metrics", "metrics", "compile_metrics")


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """What a weights file tells of the architecture that it was saved from."""

    path: Path  # with the suffix that its layout is read by
    parameters: int
    class_counts: tuple[int, ...]  # outputs of the linear layers that no other linear layer takes


def open_weights(path: Path, folder: Path, name: str) -> WeightsFile:
    """Look into a weights file, and link it into ``folder`` under a name that Keras recognises its layout by.

    Raises:
        ModelRefused: it is not a weights file of Keras.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                shapes, suffix = _shapes(file), ".keras"
        else:
            with h5py.File(path, "r") as file:
                legacy = "layer_names" in file.attrs or "model_weights" in file
                shapes, suffix = _shapes(file), ".h5" if legacy else ".weights.h5"
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelRefused(
            f"model.weights {name} is not a weights file of Keras (.weights.h5, .h5 or .keras), or is damaged: {error}"
        ) from error
    link = folder / f"weights{suffix}"
    link.symlink_to(path.resolve())
    parameters = sum(math.prod(shape) for group in shapes.values() for shape in group)
    return WeightsFile(link, parameters, _class_counts(shapes))


def load_weights(model: Any, weights: WeightsFile, name: str, architecture: str) -> None:
    """Put the weights of a file into a Keras model.

    Raises:
        ModelRefused: they are not of this architecture.
    """
    try:
        model.load_weights(weights.path)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, NotImplementedError) as error:
        raise ModelRefused(
            f"model.weights {name} ({weights.parameters:,} parameters) does not fit {architecture} "
            f"({model.count_params():,} parameters): {str(error).strip().splitlines()[0]}"
        ) from error


def temporary_folder() -> Any:
    """A folder for ``open_weights``, gone when its context ends."""
    return tempfile.TemporaryDirectory(prefix="beam-gradcam-weights-")


def _shapes(file: Any) -> dict[str, list[tuple[int, ...]]]:
    """Group -> the shapes of its arrays, for the groups that belong to layers."""
    return {group: shapes for group, shapes in _groups(file) if not set(group.split("/")) & set(_NOT_WEIGHTS)}


def _groups(file: Any) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    pending = [file]
    while pending:
        group = pending.pop()
        children = list(group.values())
        shapes = [tuple(child.shape) for child in children if isinstance(child, h5py.Dataset)]
        if shapes:
            yield group.name.strip("/"), shapes
        pending.extend(child for child in children if isinstance(child, h5py.Group))


def _class_counts(shapes: dict[str, list[tuple[int, ...]]]) -> tuple[int, ...]:
    """Of Dense layers and 1x1 convolutions with a bias, the widths that none of them takes as its input."""
    linear = []
    for group in shapes.values():
        kernels = [shape for shape in group if len(shape) == 2 or (len(shape) == 4 and shape[:2] == (1, 1))]
        if len(group) == 2 and len(kernels) == 1 and (kernels[0][-1],) in group:
            linear.append(kernels[0][-2:])
    taken = {inputs for inputs, _ in linear}
    return tuple(sorted({outputs for _, outputs in linear} - taken))
