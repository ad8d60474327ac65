"""A model and the user's options -> a compiled explanation model; the launcher's side."""

import dataclasses
import importlib.metadata
import json
import pathlib
import tempfile
from typing import TYPE_CHECKING, Any

from transforms.model.compiled import _CARD, read_card
from transforms.model.errors import ModelRefused
from transforms.model.explanation import ModelCard
from transforms.model.load import digest_source
from transforms.model.no_model import NO_MODEL, no_model_card
from transforms.model.options import ModelOptions
from transforms.model.thresholds import with_thresholds
from transforms.storage import Storage, uris

if TYPE_CHECKING:
    from transforms.model.cam import Inspection


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
    options = with_thresholds(options, storage)
    digest = digest_source(options, storage)
    card = _find(directory, digest, storage)
    if card is not None:
        return card

    from transforms.model.load import load_model

    return _compile(load_model(options, storage), options, digest, directory, storage)


def compile_live(model: Any, options: ModelOptions, directory: str, storage: Storage) -> ModelCard:
    """Compile a Keras 3 or tf_keras model, a ``tf.Module`` or a function of images, as :func:`compile_model` does.

    Args:
        options: ``source`` is what the model is called; ``weights`` and ``signature`` mean nothing here.
    """
    from transforms.model.load import load_live

    options = with_thresholds(options, storage)
    return _compile(load_live(model, options, storage), options, "live", directory, storage)


def _compile(traced: Any, options: ModelOptions, digest: str, directory: str, storage: Storage) -> ModelCard:
    plan, graph, card = _plan(traced, options, digest)
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
    from transforms.model.load import load_model

    options = with_thresholds(options, storage)
    plan, graph, card = _plan(load_model(options, storage), options, digest_source(options, storage))
    _write(plan, graph, directory, storage)
    _write_card(card, directory, storage)
    return card


def _find(directory: str, digest: str, storage: Storage) -> ModelCard | None:
    for uri in storage.walk(directory):
        folder, _, name = uri.rpartition("/")
        if name == _CARD:
            written = json.loads(storage.read(uri))
            # A card of a version that took every output for classes is believed where these have a softmax.
            is_sure = "output_kind" in written or written["activation"] == "softmax"
            if written["source_digest"] == digest and is_sure:
                return read_card(folder, storage)
    return None


def _plan(traced: Any, options: ModelOptions, digest: str) -> tuple[Any, Any, ModelCard]:
    """What is needed to write the compiled model, and its card."""
    from transforms.model.cam import folded_graph
    from transforms.model.plan import fingerprint_of, make_plan

    plan = make_plan(traced, options)
    graph, notes = folded_graph(plan)
    card = ModelCard(
        fingerprint=fingerprint_of(plan),
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
        output_kind=plan.scores.kind,
        thresholds=plan.thresholds,
        inputs=plan.extra,
        versions={name: importlib.metadata.version(name) for name in ("tensorflow", "keras")},
    )
    return plan, graph, card


def _write_card(card: ModelCard, folder: str, storage: Storage) -> None:
    storage.put(uris.join(folder, _CARD), json.dumps(dataclasses.asdict(card), indent=2).encode())


def _write(plan: Any, graph: Any, folder: str, storage: Storage) -> None:
    from transforms.model.cam import Explainer, refuse_mixed_batches
    from transforms.model.tensorflow import tf

    module = Explainer(plan, graph)
    refuse_mixed_batches(plan, module)
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as temporary:
        signatures = {"explain": module.explain, "serving_default": module.predict}
        tf.saved_model.save(module, temporary, signatures=signatures)
        for path in sorted(pathlib.Path(temporary).rglob("*")):
            if path.is_file():
                storage.put(uris.join(folder, path.relative_to(temporary).as_posix()), path.read_bytes())


def inspect_model(options: ModelOptions, storage: Storage) -> "Inspection":
    """What a model looks like to the explainer.

    Raises:
        ModelRefused: as :func:`compile_model`.
    """
    from transforms.model.cam import describe
    from transforms.model.load import load_model
    from transforms.model.plan import make_plan

    options = with_thresholds(options, storage)
    return describe(make_plan(load_model(options, storage), options))
