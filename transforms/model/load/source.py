"""What ``model.source`` says, by its spelling alone. No TensorFlow here."""

import dataclasses
import posixpath
import re
from typing import Literal

from transforms.model.errors import ModelRefused
from transforms.storage import uris

Kind = Literal["bundled", "keras", "keras_hub", "hub", "factory", "keras_file", "savedmodel"]

HANDLES = ("hf://", "kaggle://")
"""What KerasHub resolves by itself, and no store does."""
# Two letters at least before the colon, since c:model is a path on Windows.
_FACTORY = re.compile(r"[A-Za-z_]\w+(\.\w+)*:[A-Za-z_]\w*")
_NOT_TENSORFLOW = {
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".safetensors": "PyTorch",
    ".onnx": "ONNX",
    ".tflite": "TensorFlow Lite, which has no gradients",
    ".ckpt": "a TensorFlow checkpoint, which has no architecture",
}


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A kind of source and what identifies the model within the kind: a name, a handle, a path or a URL."""

    kind: Kind
    name: str


def parse_source(source: str) -> ModelSource:
    """Tell the kinds of source apart.

    Raises:
        ModelRefused: it is none of them.
    """
    kind, _, name = source.partition(":")
    if kind == "keras_hub" and name:
        return ModelSource("keras_hub", name)
    if kind in ("bundled", "keras", "hub") and name and not (kind != "hub" and name.startswith("//")):
        return ModelSource(kind, name)  # type: ignore[arg-type]
    if _FACTORY.fullmatch(source):
        return ModelSource("factory", source)
    before, path, after = uris.split(source)
    path = path.rstrip("/")
    if path.endswith(".weights.h5"):
        raise ModelRefused(
            f"{source} holds weights and no architecture: give it as model.weights, and as model.source the "
            "architecture: keras:NAME, or package.module:function that builds the model"
        )
    suffix = posixpath.splitext(path)[1].lower()
    if source.startswith(HANDLES) and not suffix:
        return ModelSource("keras_hub", source)
    if suffix in _NOT_TENSORFLOW:
        raise ModelRefused(
            f"{source} is {_NOT_TENSORFLOW[suffix]}: model.source takes .keras and .h5 files, SavedModel directories, "
            "hub:HANDLE, keras:NAME, keras_hub:PRESET, bundled:NAME and package.module:function"
        )
    if suffix in (".keras", ".h5", ".hdf5"):
        return ModelSource("keras_file", before + path + after)
    if posixpath.basename(path) in ("saved_model.pb", "saved_model.pbtxt"):
        # Without a scheme, no path at all is the working directory.
        return ModelSource("savedmodel", before + posixpath.dirname(path) + after or ".")
    if suffix == ".pb":
        raise ModelRefused(
            f"{source} is a frozen graph without signatures: save it as a SavedModel, a directory with saved_model.pb"
        )
    return ModelSource("savedmodel", before + path + after)
