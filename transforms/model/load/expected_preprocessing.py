"""What a loaded model expects of pixels: said, promised, seen in the graph, or assumed. No TensorFlow of its own."""

import re

from transforms.model.errors import ModelRefused
from transforms.model.load.conventions import convention_of
from transforms.model.load.hub_library import lies_in
from transforms.model.load.input_scaling import own_scaling
from transforms.model.load.source import Kind
from transforms.model.load.traced import TracedModel
from transforms.model.preprocessing import LITE0, NAMED, Preprocessing, as_named, parse_preprocessing


def expected_preprocessing(
    option: str | dict[str, object], kind: Kind, traced: TracedModel, hub_layers: frozenset[str] = frozenset()
) -> tuple[Preprocessing, tuple[str, ...]]:
    """What the user says; else what the source promises, the graph shows, or the names of the layers tell.

    Args:
        option: ``model.preprocessing``.
        kind: of the source.
        hub_layers: names of the ``hub.KerasLayer`` in the model.

    Returns:
        The preprocessing, and notes on what was assumed.

    Raises:
        ModelRefused: the option makes no sense.
    """
    if option != "auto":
        try:
            return as_named(parse_preprocessing(option)), ()
        except ValueError as error:
            raise ModelRefused(f"model.{error}") from error
    if kind == "bundled":
        return LITE0, ()
    if kind == "hub":
        return NAMED["unit"], ("the module is given pixels of 0..1, the convention of TF Hub",)
    scaling = own_scaling(traced.function)
    # What a module of TF Hub does to its pixels of 0..1 is its own business.
    if scaling is not None and not lies_in(scaling, hub_layers):
        return NAMED["none"], (f"the model scales its pixels itself ({scaling}): it is given 0..255",)
    if hub_layers:
        return NAMED["unit"], (_assumed("unit", f"TF Hub (hub.KerasLayer {', '.join(sorted(hub_layers))})"),)
    convention = convention_of(_names(traced))
    if convention is not None:
        family, name = convention
        return NAMED[name], () if kind == "keras" else (_assumed(name, family),)
    return NAMED["none"], (
        "PREPROCESSING IS NOT KNOWN: the model is given pixels of 0..255 as they are. If it was trained with others, "
        f"its scores and maps are meaningless: say model.preprocessing: {', '.join(NAMED)}, or {{scale, offset, bgr}}",
    )


def _assumed(name: str, family: str) -> str:
    return (
        f"preprocessing {name} is assumed, the convention of {family}: if the model was trained with another, say so "
        "with model.preprocessing"
    )


def _names(traced: TracedModel) -> set[str]:
    """The names of the layers, where they are known, and of the scopes of the operations, where they are not."""
    if traced.layer_tensors:
        layers = {name for path in traced.layer_tensors for name in path.split("/")}
        return layers | {getattr(traced.keep_alive, "name", "")}
    graph = traced.function.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    scopes = {name for node in nodes for name in node.name.split("/")}
    # Keras numbers a layer that is called a second time.
    return scopes | {re.sub(r"_\d+$", "", name) for name in scopes}
