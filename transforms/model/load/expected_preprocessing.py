"""What a loaded model expects of pixels: said, promised, told by the constants in front of it, or open."""

import re
from collections.abc import Callable
from typing import NamedTuple

from transforms.model.errors import ModelRefused
from transforms.model.expectation import Evidence, Fit, Front, fits, front_of, range_for, restored_modules
from transforms.model.graph import FlatGraph, flatten_function
from transforms.model.load.conventions import convention_of
from transforms.model.load.hub_library import lies_in
from transforms.model.load.source import Kind
from transforms.model.load.traced import TracedModel
from transforms.model.preprocessing import LITE0, NAMED, Preprocessing, as_named, parse_preprocessing


class Expectation(NamedTuple):
    preprocessing: Preprocessing
    notes: tuple[str, ...]  # on what was assumed
    evidence: Evidence


def expected_preprocessing(
    option: str | dict[str, object], kind: Kind, traced: TracedModel, hub_layers: frozenset[str] = frozenset()
) -> Expectation:
    """What the user says; else what a contract promises, or the constants in front of the network tell.

    Args:
        option: ``model.preprocessing``.
        kind: of the source.
        hub_layers: names of the ``hub.KerasLayer`` in the model.

    Raises:
        ModelRefused: the option makes no sense.
    """
    if option == "auto":
        return _found(kind, traced, hub_layers)
    try:
        said = as_named(parse_preprocessing(option))
    except ValueError as error:
        raise ModelRefused(f"model.{error}") from error
    notes = _contradiction(said, kind, traced, hub_layers)
    return Expectation(said, notes, Evidence("said", f"model.preprocessing: {said.name}"))


def _contradiction(said: Preprocessing, kind: Kind, traced: TracedModel, hub_layers: frozenset[str]) -> tuple[str, ...]:
    """A note where the model itself tells another preprocessing than the user."""
    try:
        found = _found(kind, traced, hub_layers)
    except ModelRefused:  # whatever auto would be refused for, the user has said it
        return ()
    if found.evidence.kind == "open" or said.same_as(found.preprocessing):
        return ()
    return (
        f"model.preprocessing is {said.name}, where the model tells {found.preprocessing.name}: {found.evidence.seen}. "
        "It is done as you say",
    )


def _found(kind: Kind, traced: TracedModel, hub_layers: frozenset[str]) -> Expectation:
    """What a contract promises, or the constants in front of the network tell."""
    if kind == "bundled":
        return Expectation(LITE0, (), Evidence("contract", "(pixels - 127) / 128, as the bundled network was trained"))
    if traced.preprocessing is not None:
        seen = f"the image converter that KerasHub saved with the model: {traced.preprocessing.name}"
        return Expectation(traced.preprocessing, (), Evidence("contract", seen))
    if kind == "hub":
        seen = "the module is given pixels of 0..1, the convention of TF Hub"
        return Expectation(NAMED["unit"], (seen,), Evidence("contract", seen))
    dtype = traced.function.inputs[0].dtype
    if not dtype.is_floating:
        seen = f"the model takes {dtype.name} pixels: it is given 0..255"
        return Expectation(NAMED["none"], (seen,), Evidence("contract", seen))
    flat = _flat(traced)
    restored = restored_modules(flat) if flat is not None else frozenset()
    if hub_layers:
        return _around_hub(flat, hub_layers | restored, f"hub.KerasLayer {', '.join(sorted(hub_layers))}")
    front = _UNKNOWN if flat is None else front_of(flat)
    convention = convention_of(_names(traced, flat))
    if convention is not None:
        return _application(front, *convention, is_promised=kind == "keras")
    fit = _fit(front)
    if fit is not None:
        return _made_for(fit, front)
    if flat is not None and restored:
        return _around_hub(flat, restored, f"a function of another SavedModel in {', '.join(sorted(restored))}")
    return _open(front)


_UNKNOWN = Front(None, (), ())


def _flat(traced: TracedModel) -> FlatGraph | None:
    """None where the graph cannot be flattened: such a model cannot be explained, which is said where that is tried."""
    try:
        return flatten_function(traced.function, len(traced.extra))
    except ModelRefused:
        return None


def _fit(front: Front) -> Fit | None:
    """The range that the chain was made for: the whole of it, or where that is nothing known, a part at its end.

    ``Rescaling(255)`` in front of a network that divides by 255 by itself takes 0..1, and all in all nothing changes.
    """
    whole = front.affine
    if whole is None:
        return None
    if (fit := fits(whole)) is not None:
        return fit
    for last in front.last_steps:
        before, inner = whole.before(last), fits(last)
        if before is None or inner is None or before.is_identity:
            continue
        pixels = range_for(before, inner.pixels.preprocessing)
        if pixels is not None:
            return Fit(pixels, inner.target)
    return None


def _made_for(fit: Fit, front: Front, aside: str = "") -> Expectation:
    where = ", ".join(re.sub(r"^(Func/)?((Stateful)?PartitionedCall/)*", "", node) for node in front.nodes[:2])
    seen = (
        f"the operations in front of the network ({where}) turn {fit.pixels} into {fit.target}: it is given "
        f"{fit.pixels}{aside}"
    )
    return Expectation(fit.pixels.preprocessing, (seen,), Evidence("chain", seen))


def _application(front: Front, family: str, name: str, is_promised: bool) -> Expectation:
    """A network of keras.applications, as it is or behind layers of the user's own: both together decide."""
    assumed = (
        f"preprocessing {name} is assumed, the convention of {family}: if the model was trained with another, say so "
        "with model.preprocessing"
    )
    chain = front.affine
    if chain is None or chain.is_identity:
        return Expectation(NAMED[name], () if is_promised else (assumed,), Evidence("contract", assumed))
    pixels = range_for(chain, NAMED[name])
    if pixels is not None:
        return _made_for(Fit(pixels, f"what {family} expects"), front)
    fit = _fit(front)
    if fit is not None:
        return _made_for(fit, front, f", although {family} by itself expects {name}")
    return _open(front)


def _around_hub(flat: FlatGraph | None, modules: frozenset[str], what: str) -> Expectation:
    """Modules of TF Hub take 0..1, and what they do to it is their own business; what comes before them is not."""
    before = None if flat is None else front_of(flat, _lies_in(modules)).affine
    pixels = None if before is None or before.is_identity else range_for(before, NAMED["unit"])
    if pixels is not None:
        seen = f"the model turns {pixels} into the 0..1 of TF Hub ({what}): it is given {pixels}"
        return Expectation(pixels.preprocessing, (seen,), Evidence("contract", seen))
    seen = (
        f"preprocessing unit is assumed, the convention of TF Hub ({what}): if the model was trained with another, say "
        "so with model.preprocessing"
    )
    return Expectation(NAMED["unit"], (seen,), Evidence("contract", seen))


def _lies_in(modules: frozenset[str]) -> Callable[[str], bool]:
    return lambda operation: lies_in(operation, modules)


def _open(front: Front) -> Expectation:
    chain = front.affine
    seen = (
        "the image reaches the network in more than one way, as through a skip, a gate or its own mean"
        if chain is None
        else "nothing scales the pixels in front of the network"
        if chain.is_identity
        else f"the operations in front of the network are pixels * {_numbers(chain.scale)} + {_numbers(chain.offset)}, "
        "made for no range that is known"
    )
    note = (
        f"PREPROCESSING IS NOT KNOWN ({seen}): the model is given pixels of 0..255 as they are. If it was trained with "
        f"others, its scores and maps are meaningless: say model.preprocessing: {', '.join(NAMED)}, or "
        "{scale, offset, bgr}"
    )
    return Expectation(NAMED["none"], (note,), Evidence("open", seen))


def _numbers(values: object) -> str:
    texts = list(dict.fromkeys(f"{value:.4g}" for value in values))  # type: ignore[attr-defined]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _names(traced: TracedModel, flat: FlatGraph | None) -> set[str]:
    """The names of the layers, where they are known, and of the scopes of the operations, where they are not."""
    if traced.layer_tensors:
        layers = {name for path in traced.layer_tensors for name in path.split("/")}
        return layers | {getattr(traced.keep_alive, "name", "")}
    nodes = () if flat is None else flat.graph_def.node
    scopes = {name for node in nodes for name in node.name.split("/")}
    # Keras numbers a layer that is called a second time.
    return scopes | {re.sub(r"_\d+$", "", name) for name in scopes}
