"""What a loaded model expects of pixels: said, promised, seen in the graph, or assumed. No TensorFlow of its own."""

import re

from transforms.model.conventions import HUB_LAYER, convention_of
from transforms.model.errors import ModelRefused
from transforms.model.input_scaling import own_scaling
from transforms.model.preprocessing import LITE0, NAMED, Preprocessing, as_named, parse_preprocessing
from transforms.model.source import Kind
from transforms.model.traced import TracedModel


def expected_preprocessing(
    option: str | dict[str, object], kind: Kind, traced: TracedModel
) -> tuple[Preprocessing, tuple[str, ...]]:
    """What the user says; else what the source promises, the graph shows, or the names of the layers tell.

    Args:
        option: ``model.preprocessing``.
        kind: of the source.

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
    none = NAMED["none"]
    if kind == "bundled":
        return LITE0, ()
    scaling = own_scaling(traced.function)
    if scaling is not None:
        return none, (f"the model scales its pixels itself ({scaling}): it is given 0..255",)
    if kind == "hub":
        return NAMED["unit"], ("the module is given pixels of 0..1, the convention of TF Hub",)
    convention = convention_of(_names(traced))
    if convention is not None:
        family, name = convention
        note = (
            f"preprocessing {name} is assumed, the convention of {family}: if the model was trained with another, say "
            "so with model.preprocessing"
        )
        return NAMED[name], () if kind == "keras" else (note,)
    return none, (
        "PREPROCESSING IS NOT KNOWN: the model is given pixels of 0..255 as they are. If it was trained with others, "
        f"its scores and maps are meaningless: say model.preprocessing: {', '.join(NAMED)}, or {{scale, offset, bgr}}",
    )


def _names(traced: TracedModel) -> set[str]:
    """The names of the layers, where they are known, and of the scopes of the operations, where they are not."""
    if traced.layer_tensors:
        names = {name for path in traced.layer_tensors for name in path.split("/")}
        layers = getattr(traced.keep_alive, "submodules", ())
        hub_layers = {HUB_LAYER for layer in layers if type(layer).__name__ == "KerasLayer"}
        return {*names, *hub_layers, traced.keep_alive.name}  # type: ignore[attr-defined]
    graph = traced.function.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    scopes = {name for node in nodes for name in node.name.split("/")}
    # Keras numbers a layer that is called a second time.
    return scopes | {re.sub(r"_\d+$", "", name) for name in scopes}
