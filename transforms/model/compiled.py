"""Compiled explanation models: made once by the launcher, loaded by every worker.

``<directory>/<fingerprint>/`` is a standard SavedModel with ``explanation.json`` beside ``saved_model.pb``; that file
is written last, so what has it is whole. Nothing here imports TensorFlow before it is needed: a model that is
compiled already is found without it.
"""

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from transforms.model.compiled_files import check_files
from transforms.model.explanation import BatchExplanation, GradCamModel, ModelCard
from transforms.model.no_model import NO_MODEL, NoModel
from transforms.storage import Storage, decode_state, local_copy, not_state, read_state, uris

_CARD = "explanation.json"
_WHAT, _REMEDY = "the card of a compiled model", "run the same command again, which compiles the model from its source"
_LARGEST = 1 << 24  # pixels, cells, classes
_OUTPUTS = tuple(field.name for field in dataclasses.fields(BatchExplanation))
_ADDED = "embedding"  # models that an earlier version compiled do not give it


def read_card(directory: str, storage: Storage) -> ModelCard:
    """The card of a compiled model.

    Raises:
        FileNotFoundError: there is no compiled model, or not all of it.
        StateError: the file is no card.
    """
    uri = uris.join(directory, _CARD)
    state = read_state(uri, storage)
    card = decode_state(ModelCard, state, uri, _WHAT, _REMEDY)
    if b'"seen"' not in state or b'"output_kind"' not in state:
        # Made by an earlier version, which did not ask what the model sees or what its output means: it stands for no
        # source any more.
        card = dataclasses.replace(card, source_digest="")
    sizes = (card.input_height, card.input_width, card.class_count, card.cam_height, card.cam_width)
    if not all(0 < size <= _LARGEST for size in sizes):
        raise not_state(uri, _WHAT, f"sizes {sizes}", _REMEDY)
    if card.class_names is not None and len(card.class_names) != card.class_count:
        raise not_state(uri, _WHAT, f"{len(card.class_names)} names of {card.class_count} classes", _REMEDY)
    return card


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
        if images.dtype != self.card.pixel_type or images.shape != expected:
            takes = f"{self.card.pixel_type} {expected}"
            raise ValueError(f"images are {images.dtype} {images.shape}, the model takes {takes}")
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
        return BatchExplanation(**{name: arrays[name] for name in _OUTPUTS if name in arrays or name != _ADDED})


_loaded: dict[tuple[str, tuple[tuple[str, str], ...]], CompiledModel] = {}
_loading = threading.Lock()


def load_compiled(
    directory: str, storage: Storage, batch_size: int = 32, card: ModelCard | None = None
) -> GradCamModel:
    """Load a compiled model, once per process, and warm it up with a blank batch of ``batch_size`` images.

    Args:
        directory: any fsspec URL; a remote one is copied to a temporary folder first.
        card: what the launcher knows of the model; the files must be those that it names. None: as the folder has it.

    Raises:
        ModelRefused: a file of the model is not what was compiled, or missing.
    """
    with _loading:
        card = card or read_card(directory, storage)
        if card.source == NO_MODEL:
            return NoModel(card)
        key = (directory, tuple(sorted(card.files.items())))
        if key not in _loaded:
            model = _load(card, directory, storage)
            blank = np.zeros((batch_size, card.input_height, card.input_width, 3), card.pixel_type)
            ones = [np.ones((batch_size, *one.shape), one.dtype) for one in card.inputs]
            model.explain(blank, np.full((batch_size, 1), -1, np.int32), ones)
            _loaded[key] = model
        return _loaded[key]


def _load(card: ModelCard, directory: str, storage: Storage) -> CompiledModel:
    from transforms.model.tensorflow import tf

    with local_copy(directory, storage) as path:
        check_files(path, directory, card.files)
        return CompiledModel(card, tf.saved_model.load(str(path)))
