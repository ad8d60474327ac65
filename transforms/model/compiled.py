"""Compiled explanation models: made once by the launcher, loaded by every worker.

``<directory>/<fingerprint>/`` is a standard SavedModel with ``explanation.json`` beside ``saved_model.pb``; that file
is written last, so what has it is whole. Nothing here imports TensorFlow before it is needed: a model that is
compiled already is found without it.
"""

import dataclasses
import json
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from transforms.model.explanation import BatchExplanation, GradCamModel, ModelCard
from transforms.model.extra_inputs import ExtraInput
from transforms.model.no_model import NO_MODEL, NoModel
from transforms.storage import Storage, local_copy, uris

_CARD = "explanation.json"
_OUTPUTS = tuple(field.name for field in dataclasses.fields(BatchExplanation))


def read_card(directory: str, storage: Storage) -> ModelCard:
    """The card of a compiled model.

    Raises:
        FileNotFoundError: there is no compiled model, or not all of it.
    """
    fields = json.loads(storage.read(uris.join(directory, _CARD)))
    for name in ("class_names", "notes", "thresholds"):
        fields[name] = None if fields.get(name) is None else tuple(fields[name])
    fields["inputs"] = tuple(
        ExtraInput(one["name"], tuple(one["columns"]), tuple(one["shape"]), one["dtype"])
        for one in fields.get("inputs", ())
    )
    return ModelCard(**fields)


class CompiledModel:
    """A compiled explanation model in this process; see :class:`transforms.model.explanation.GradCamModel`.

    Safe to call from several threads: one batch at a time is on the device.
    """

    def __init__(self, card: ModelCard, saved_model: Any):
        self.card = card
        self._saved_model = saved_model  # owns the variables
        self._explain = saved_model.signatures["explain"]
        self._lock = threading.Lock()

    def explain(self, images: np.ndarray, targets: np.ndarray, extra: Sequence[np.ndarray] = ()) -> BatchExplanation:
        """See the protocol. There is one traced function for all batch sizes: nothing is ever traced again.

        Raises:
            ValueError: images, targets or other inputs of the wrong type or shape, or a target that the model does not
                have.
        """
        from transforms.model.tensorflow import tf

        expected = (len(images), self.card.input_height, self.card.input_width, 3)
        if images.dtype != np.uint8 or images.shape != expected:
            raise ValueError(f"images are {images.dtype} {images.shape}, the model takes uint8 {expected}")
        if targets.ndim != 2 or len(targets) != len(images):
            raise ValueError(f"targets are {targets.shape}: one row is needed for each of {len(images)} images")
        count = self.card.class_count
        if targets.size and not -count <= targets.min() <= targets.max() < count:
            raise ValueError(f"targets are {targets.min()} to {targets.max()}; the model has {count} classes")
        wanted = [(one.dtype, (len(images), *one.shape)) for one in self.card.inputs]
        if [(array.dtype.name, array.shape) for array in extra] != wanted:
            found = [f"{array.dtype} {array.shape}" for array in extra]
            raise ValueError(f"the other inputs are {found}, the model takes {wanted}")
        more = {f"input_{number}": tf.constant(array) for number, array in enumerate(extra)}
        with self._lock:
            outputs = self._explain(images=tf.constant(images), targets=tf.constant(targets, tf.int32), **more)
            arrays = {name: output.numpy() for name, output in outputs.items()}
        return BatchExplanation(**{name: arrays[name] for name in _OUTPUTS})


_loaded: dict[str, CompiledModel] = {}
_loading = threading.Lock()


def load_compiled(directory: str, storage: Storage, batch_size: int = 32) -> GradCamModel:
    """Load a compiled model, once per process, and warm it up with a blank batch of ``batch_size`` images.

    Args:
        directory: any fsspec URL; a remote one is copied to a temporary folder first.
    """
    with _loading:
        if directory not in _loaded:
            card = read_card(directory, storage)
            if card.source == NO_MODEL:
                return NoModel(card)
            model = _load(card, directory, storage)
            blank = np.zeros((batch_size, card.input_height, card.input_width, 3), np.uint8)
            ones = [np.ones((batch_size, *one.shape), one.dtype) for one in card.inputs]
            model.explain(blank, np.full((batch_size, 1), -1, np.int32), ones)
            _loaded[directory] = model
        return _loaded[directory]


def _load(card: ModelCard, directory: str, storage: Storage) -> CompiledModel:
    from transforms.model.tensorflow import tf

    with local_copy(directory, storage) as path:
        return CompiledModel(card, tf.saved_model.load(str(path)))
