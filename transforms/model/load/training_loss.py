"""The loss that a Keras model was trained with, as its file or the live model has it: what its output is made for."""

import dataclasses
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import h5py  # type: ignore[import-untyped]

_SHORT = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
          "msle": "mean_squared_logarithmic_error", "bce": "binary_crossentropy", "kld": "kl_divergence"}  # fmt: skip
_MADE_FOR: dict[str, tuple[str, ...]] = {
    "ordinal": ("ordinal", "coral", "corn"),
    "classes": ("categorical_", "kl_divergence", "kullback_leibler_divergence"),
    "binary": ("binary_", "hinge", "squared_hinge"),
    "value": ("mean_", "root_mean_squared", "huber", "log_cosh", "logcosh", "poisson", "quantile"),
}
_ALL = ""

MadeFor = Literal["value", "binary", "classes", "ordinal"]


@dataclasses.dataclass(frozen=True)
class TrainingLoss:
    """A loss by its name, mean_squared_error for one, and what it is made for; None where that is not known."""

    name: str
    made_for: MadeFor | None


def losses_of(described: Any, outputs: Sequence[str]) -> dict[str, TrainingLoss]:
    """The losses that a ``compile`` was given, by the name of the output; those of all outputs by the empty name.

    Args:
        described: a name, a serialized loss, a function, or a list or dict of these; None: not compiled.
        outputs: names, in the order of a list.
    """
    if isinstance(described, list | tuple) and not _is_named(described):
        named: Mapping[str, Any] = dict(zip(outputs, described, strict=False))
        if len(described) == 1:
            named = {_ALL: described[0]}
    elif isinstance(described, Mapping) and not _is_named(described):
        named = described
    else:
        named = {_ALL: described}
    losses = {output: _loss(one) for output, one in named.items()}
    return {output: loss for output, loss in losses.items() if loss is not None}


def loss_of_model(model: Any) -> Any:
    """What the ``compile`` of a live Keras model was given."""
    config: Any = getattr(model, "get_compile_config", dict)() or {}
    return config.get("loss") or getattr(model, "loss", None)


def loss_in_file(path: Path) -> Any:
    """What a ``.keras`` or ``.h5`` file of either Keras says of the loss; None where the model was not compiled."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json")).get("compile_config")
    else:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("training_config")
            config = None if text is None else json.loads(text)
    return (config or {}).get("loss")


def loss_in_savedmodel(folder: Path) -> Any:
    """What a SavedModel that Keras 2 wrote says of the loss; None where it was written otherwise."""
    path = folder / "keras_metadata.pb"
    if not path.is_file():
        return None
    from tf_keras.protobuf import saved_metadata_pb2

    for node in saved_metadata_pb2.SavedMetadata.FromString(path.read_bytes()).nodes:
        if node.node_path == "root":
            return (json.loads(node.metadata).get("training_config") or {}).get("loss")
    return None


def _is_named(described: Any) -> bool:
    """A single serialized loss: ``{class_name, config}``."""
    return isinstance(described, Mapping) and "class_name" in described


def _loss(described: Any) -> TrainingLoss | None:
    if isinstance(described, Mapping):
        # A function is serialized with its name as the config, an object of the library with that of its class.
        config, name = described.get("config"), described.get("class_name")
        name = config if name == "function" and isinstance(config, str) else name
    elif described is None or isinstance(described, str):
        name = described
    else:
        name = getattr(described, "__name__", type(described).__name__)
    if not isinstance(name, str) or not name:
        return None
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"^\w+>(?=\w)", "", name)).lower()
    name = _SHORT.get(name, name)
    for made_for, beginnings in _MADE_FOR.items():
        if any(beginning in name if made_for == "ordinal" else name.removeprefix("sparse_").startswith(beginning)
               for beginning in beginnings):  # fmt: skip
            return TrainingLoss(name, made_for)  # type: ignore[arg-type]
    return TrainingLoss(name, None)
