"""A model and the user's options -> a compiled explanation model; the launcher's side."""

import dataclasses
import json
import logging
import pathlib
import tempfile
from typing import TYPE_CHECKING, Any

from transforms.model.compiled import _CARD, read_card
from transforms.model.compiled_files import changed_files, digests_below
from transforms.model.errors import ModelRefused
from transforms.model.explanation import ModelCard
from transforms.model.load import digest_source
from transforms.model.no_model import NO_MODEL, no_model_card
from transforms.model.options import ModelOptions
from transforms.model.planned import PlannedModel
from transforms.model.thresholds import with_thresholds
from transforms.storage import StateError, Storage, list_files, uris

if TYPE_CHECKING:
    from transforms.model.cam import Inspection

_log = logging.getLogger("beam-gradcam")


def compile_model(
    options: ModelOptions,
    directory: str,
    storage: Storage,
    planned: PlannedModel | None = None,
    embedding: bool = False,
) -> ModelCard:
    """Compile a model into ``<directory>/<fingerprint>/``, or find it there.

    Args:
        directory: any fsspec URL.
        planned: the same model, where more than the compiled one will be asked of it: it is loaded once.
        embedding: it must give embeddings; a model that an earlier version compiled does not, and is compiled again.

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
    card = _find(directory, digest, storage, embedding)
    if card is not None:
        return card

    return _compile(planned or PlannedModel(options, storage), digest, directory, storage, embedding)


def compile_live(model: Any, options: ModelOptions, directory: str, storage: Storage) -> ModelCard:
    """Compile a Keras 3 or tf_keras model, a ``tf.Module`` or a function of images, as :func:`compile_model` does.

    Args:
        options: ``source`` is what the model is called; ``weights`` and ``signature`` mean nothing here.
    """
    return _compile(PlannedModel(options, storage, model), "live", directory, storage)


def _compile(
    planned: PlannedModel, digest: str, directory: str, storage: Storage, embedding: bool = False
) -> ModelCard:
    graph, card = _folded(planned, digest)
    folder = uris.join(directory, card.fingerprint)
    # The same fingerprint is the same model, but what it is called may have changed.
    there = _whole(folder, storage)
    if there is None or (embedding and not there.embedding):
        card = dataclasses.replace(card, files=_write(planned.plan, graph, folder, storage))
    else:
        card = dataclasses.replace(card, files=there.files, embedding=there.embedding)
    _write_card(card, folder, storage)
    return read_card(folder, storage)


def export_model(options: ModelOptions, directory: str, storage: Storage) -> ModelCard:
    """Compile a model into ``directory`` itself: a SavedModel for serving or a notebook.

    Raises:
        ModelRefused: as :func:`compile_model`; or there is something in the directory already.
    """
    if next(storage.walk(directory), None) is not None:
        raise ModelRefused(f"{directory} is not empty; name a new folder for the compiled model")
    options = with_thresholds(options, storage)
    planned = PlannedModel(options, storage)
    graph, card = _folded(planned, digest_source(options, storage))
    card = dataclasses.replace(card, files=_write(planned.plan, graph, directory, storage))
    _write_card(card, directory, storage)
    return card


def _find(directory: str, digest: str, storage: Storage, embedding: bool) -> ModelCard | None:
    for uri in list_files(directory, storage):
        folder, _, name = uri.rpartition("/")
        if name == _CARD:
            card = _whole(folder, storage, digest)
            if card is not None and (card.embedding or not embedding):
                return card
    return None


def _whole(folder: str, storage: Storage, digest: str | None = None) -> ModelCard | None:
    """The card of a compiled model, of a certain source where ``digest`` is one, whose files are as they were written.

    None where there is none; where something is wrong with it, a warning says so, and it is compiled again.
    """
    try:
        card = read_card(folder, storage)
    except FileNotFoundError:
        return None
    except StateError as error:
        _log.warning("passed over: %s", error)
        return None
    if digest is not None and card.source_digest != digest:
        return None
    if not card.files:
        _log.warning("%s was compiled by an earlier version, without digests of its files: compiling again", folder)
        return None
    for problem in changed_files(folder, card.files, storage):
        _log.warning("%s: compiling %s again", problem, card.source)
        return None
    return card


def _folded(planned: PlannedModel, digest: str) -> tuple[Any, ModelCard]:
    """The graph of the compiled model, and its card."""
    from transforms.model.cam import folded_graph
    from transforms.model.plan import card_of

    graph, notes = folded_graph(planned.plan)
    card = card_of(planned.plan, digest, notes)
    if planned.options.precision == "float32":
        return graph, card
    from transforms.model.cam import narrow

    graph, error = narrow(planned.plan, graph)
    note = f"{card.precision} in front of {card.target_layer}: maps differ by up to {error:.1%} of their largest value"
    return graph, dataclasses.replace(card, map_error=error, notes=(*card.notes, note))


def _write_card(card: ModelCard, folder: str, storage: Storage) -> None:
    storage.put(uris.join(folder, _CARD), json.dumps(dataclasses.asdict(card), indent=2).encode())


def _write(plan: Any, graph: Any, folder: str, storage: Storage) -> dict[str, str]:
    """Returns the digests of the files."""
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
        return digests_below(pathlib.Path(temporary))


def inspect_model(options: ModelOptions, storage: Storage) -> "Inspection":
    """What a model looks like to the explainer.

    Raises:
        ModelRefused: as :func:`compile_model`.
    """
    from transforms.model.cam import describe

    return describe(PlannedModel(options, storage).plan)
