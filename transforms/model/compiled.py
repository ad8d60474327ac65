"""Compiled explanation models: made once by the launcher, loaded by every worker.

``<directory>/<fingerprint>/`` is a standard SavedModel with ``explanation.json`` beside ``saved_model.pb``; that file
is written last, so what has it is whole. Nothing here imports TensorFlow before it is needed: a model that is
compiled already is found without it.
"""

import dataclasses
import importlib.metadata
import json
import pathlib
import tempfile
import threading
from collections import Counter
from typing import Any

import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.explanation import BatchExplanation, GradCamModel, ModelCard
from transforms.model.load.source_digest import source_digest
from transforms.model.no_model import NO_MODEL, NoModel, no_model_card
from transforms.model.options import ModelOptions
from transforms.storage import uris
from transforms.storage.storage import Storage

_CARD = "explanation.json"
_OUTPUTS = tuple(field.name for field in dataclasses.fields(BatchExplanation))


def compile_model(options: ModelOptions, directory: str, storage: Storage) -> ModelCard:
    """Compile a model into ``<directory>/<fingerprint>/``, or find it there.

    Args:
        directory: any fsspec URL.

    Returns:
        The card that lies beside the compiled model.

    Raises:
        ModelRefused: the model cannot be loaded or explained as asked, with the cause and the remedy.
    """
    if options.source == NO_MODEL:
        nothing = no_model_card(options)
        _write_card(nothing, uris.join(directory, nothing.fingerprint), storage)
        return nothing
    fsspec_options = {scheme: dict(values) for scheme, values in storage.options.items()}
    digest = source_digest(options, fsspec_options)
    card = _find(directory, digest, storage)
    if card is not None:
        return card

    plan, graph, card = _plan(options, digest, fsspec_options)
    folder = uris.join(directory, card.fingerprint)
    if not storage.exists(uris.join(folder, _CARD)):
        _write(plan, graph, folder, storage)
    # The same fingerprint is the same model, but what it is called may have changed.
    _write_card(card, folder, storage)
    return read_card(folder, storage)


def export_model(options: ModelOptions, directory: str, storage: Storage) -> ModelCard:
    """Compile a model into ``directory`` itself: a SavedModel for serving or a notebook.

    Raises:
        ModelRefused: as :func:`compile_model`; or there is something in the directory already.
    """
    if next(storage.walk(directory), None) is not None:
        raise ModelRefused(f"{directory} is not empty; name a new folder for the compiled model")
    fsspec_options = {scheme: dict(values) for scheme, values in storage.options.items()}
    plan, graph, card = _plan(options, source_digest(options, fsspec_options), fsspec_options)
    _write(plan, graph, directory, storage)
    _write_card(card, directory, storage)
    return card


def read_card(directory: str, storage: Storage) -> ModelCard:
    """The card of a compiled model.

    Raises:
        FileNotFoundError: there is no compiled model, or not all of it.
    """
    fields = json.loads(storage.read(uris.join(directory, _CARD)))
    for name in ("class_names", "notes"):
        fields[name] = None if fields[name] is None else tuple(fields[name])
    return ModelCard(**fields)


def _find(directory: str, digest: str, storage: Storage) -> ModelCard | None:
    for uri in storage.walk(directory):
        folder, _, name = uri.rpartition("/")
        if name == _CARD:
            card = read_card(folder, storage)
            if card.source_digest == digest:
                return card
    return None


def _plan(options: ModelOptions, digest: str, fsspec_options: dict[str, dict[str, Any]]) -> tuple[Any, Any, ModelCard]:
    """What is needed to write the compiled model, and its card."""
    from transforms.model.cam.dry_run import folded_graph
    from transforms.model.load.loaders import load_model
    from transforms.model.plan.fingerprint import fingerprint
    from transforms.model.plan.plan import make_plan

    plan = make_plan(load_model(options, fsspec_options), options)
    graph, notes = folded_graph(plan)
    card = ModelCard(
        fingerprint=fingerprint(plan),
        source=options.source,
        source_digest=digest,
        input_height=plan.input_height,
        input_width=plan.input_width,
        class_count=plan.scores.class_count,
        class_names=plan.class_names,
        target_layer=plan.target.name,
        target_tensor=plan.target.tensor,
        cam_height=plan.target.height,
        cam_width=plan.target.width,
        method=options.method,
        score=options.score,
        activation=plan.scores.activation,
        preprocessing=dataclasses.asdict(plan.preprocessing) | {"resize": options.resize},
        notes=(*plan.notes, *notes),
        versions={name: importlib.metadata.version(name) for name in ("tensorflow", "keras")},
    )
    return plan, graph, card


def _write_card(card: ModelCard, folder: str, storage: Storage) -> None:
    storage.put(uris.join(folder, _CARD), json.dumps(dataclasses.asdict(card), indent=2).encode())


def _write(plan: Any, graph: Any, folder: str, storage: Storage) -> None:
    from transforms.model.cam.dry_run import refuse_mixed_batches
    from transforms.model.cam.explainer import build_explainer
    from transforms.model.runtime import import_tensorflow

    tf = import_tensorflow()
    module = build_explainer(plan, graph)
    refuse_mixed_batches(plan, module)
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as temporary:
        signatures = {"explain": module.explain, "serving_default": module.predict}
        tf.saved_model.save(module, temporary, signatures=signatures)
        for path in sorted(pathlib.Path(temporary).rglob("*")):
            if path.is_file():
                storage.put(uris.join(folder, path.relative_to(temporary).as_posix()), path.read_bytes())


class CompiledModel:
    """A compiled explanation model in this process; see :class:`transforms.model.explanation.GradCamModel`.

    Safe to call from several threads: one batch at a time is on the device.
    """

    def __init__(self, card: ModelCard, saved_model: Any):
        self.card = card
        self.events: Counter[str] = Counter()  # guarded_channels: weights that the method could not compute
        self._saved_model = saved_model  # owns the variables
        self._explain = saved_model.signatures["explain"]
        self._lock = threading.Lock()

    def explain(self, images: np.ndarray, targets: np.ndarray) -> BatchExplanation:
        """See the protocol. There is one traced function for all batch sizes: nothing is ever traced again.

        Raises:
            ValueError: images or targets of the wrong type or shape, or a target that the model does not have.
        """
        from transforms.model.runtime import import_tensorflow

        tf = import_tensorflow()
        expected = (len(images), self.card.input_height, self.card.input_width, 3)
        if images.dtype != np.uint8 or images.shape != expected:
            raise ValueError(f"images are {images.dtype} {images.shape}, the model takes uint8 {expected}")
        if targets.ndim != 2 or len(targets) != len(images):
            raise ValueError(f"targets are {targets.shape}: one row is needed for each of {len(images)} images")
        count = self.card.class_count
        if targets.size and not -count <= targets.min() <= targets.max() < count:
            raise ValueError(f"targets are {targets.min()} to {targets.max()}; the model has {count} classes")
        with self._lock:
            outputs = self._explain(images=tf.constant(images), targets=tf.constant(targets, tf.int32))
            arrays = {name: output.numpy() for name, output in outputs.items()}
            self.events["guarded_channels"] += int(arrays["guarded"].sum())
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
            model.explain(blank, np.full((batch_size, 1), -1, np.int32))
            model.events.clear()
            _loaded[directory] = model
        return _loaded[directory]


def _load(card: ModelCard, directory: str, storage: Storage) -> CompiledModel:
    from transforms.model.runtime import import_tensorflow

    tf = import_tensorflow()
    if uris.is_local(directory):
        return CompiledModel(card, tf.saved_model.load(uris.local_path(directory)))
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as temporary:
        for uri in storage.walk(directory):
            copy = pathlib.Path(temporary, uri.partition(f"/{card.fingerprint}/")[2])
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(storage.read(uri))
        return CompiledModel(card, tf.saved_model.load(temporary))
