"""Which feature map the heatmap is drawn on: the one that is named, or the last. Imports TensorFlow.

Grad-CAM takes the last layer that still has a spatial grid (arXiv 1610.02391, section 3).
"""

import math
import re
from collections.abc import Sequence

from transforms.model.errors import ModelRefused
from transforms.model.graph import FlatGraph, Tensor, operations, same_value, tensor_name
from transforms.model.plan.network import FeatureMap, Network, channel_axis
from transforms.model.plan.pooling import before_pooling
from transforms.model.plan.tokens import Probe, last_tokens


def choose_layer(
    network: Network,
    wanted: str | int,
    flat: FlatGraph,
    probe: Probe[FeatureMap],
) -> tuple[FeatureMap, str]:
    """The target layer and why it is that one.

    Args:
        flat: the graph of ``network``, with its weights.
        wanted: ``auto``, an index into the candidates, a Keras layer path or its end, a tensor's name, or a
            regular expression that fits one name.
        probe: of tokens.

    Raises:
        ModelRefused: there is no such feature map, or the name fits several.
    """
    if wanted == "auto":
        return last_tokens(network.candidates, probe) or _last(network, flat)
    if isinstance(wanted, int) or re.fullmatch(r"-?\d+", wanted):
        return _at(network, int(wanted)), f"number {wanted} of the candidates"
    for find, how in (
        (_by_layer, "the layer of that name"),
        (_by_tensor, "the tensor of that name"),
        (_by_scope, "the last feature map in that scope"),
        (_by_pattern, "the only candidate that fits this pattern"),
    ):
        tensor = find(network, wanted)
        if tensor is not None:
            return _checked(network, wanted, tensor), how
    raise ModelRefused(f"The model has no layer {wanted!r}. {_remedy(network)}")


def _last(network: Network, flat: FlatGraph) -> tuple[FeatureMap, str]:
    if not network.candidates:
        raise ModelRefused(
            "No feature map with more than one cell lies on every path from the image to the scores, so there is "
            "no layer for a heatmap. Name a layer inside a branch in model.target_layer if the model has one; "
            "models without convolutional features cannot be explained with class activation maps."
        )
    grids = [candidate for candidate in network.candidates if candidate.tokens is None]
    if not grids:
        raise ModelRefused(
            f"The scores depend on none of the tokens of {network.candidates[-1].name} and before: no gradient reaches "
            f"them. {_remedy(network)}"
        )
    by_tensor = {candidate.tensor: candidate for candidate in grids}
    last = grids[-1]
    in_pooling = chosen = before_pooling(network, flat, last)
    while True:
        operation = network.graph.get_tensor_by_name(chosen.tensor).op
        before = same_value(operation.inputs[0]).name
        if operation.type not in operations.POOLS | {"Transpose"} or before not in by_tensor:
            break
        chosen = by_tensor[before]
    _refuse_if_early(network, chosen)
    if chosen is in_pooling is not last:
        return chosen, f"the last feature map before {last.name}, which is a step of the pooling behind it"
    if chosen is last:
        return chosen, "the last feature map that every path to the scores goes through"
    return chosen, f"the last feature map before {last.name}, which pools it and adds no features of its own"


def _refuse_if_early(network: Network, chosen: FeatureMap) -> None:
    """A vision transformer's patch embedding is a feature map, and not one that shows what the model sees."""
    every, behind = (network.weighted_layers(part) for part in (network.order, network.head_of(chosen)))
    before = every - behind
    if behind > 8 * before:
        raise ModelRefused(
            f"The last feature map, {chosen.name}, comes after {before} of the network's {before + behind} layers "
            f"with weights: what follows has no spatial grid (a transformer?). Set model.target_layer to "
            f"{chosen.name!r} if you want a heatmap of so early a layer."
        )


def _at(network: Network, index: int) -> FeatureMap:
    if not -len(network.candidates) <= index < len(network.candidates):
        raise ModelRefused(f"There is no candidate number {index}. {_remedy(network)}")
    return network.candidates[index]


def _by_layer(network: Network, wanted: str) -> Tensor | None:
    paths = [path for path in network.tensors_of if path == wanted] or [
        path for path in network.tensors_of if path.endswith(f"/{wanted}")
    ]
    return _only(network, wanted, [tensor for path in paths for tensor in network.tensors_of[path]])


def _by_tensor(network: Network, wanted: str) -> Tensor | None:
    try:
        return same_value(network.graph.get_tensor_by_name(tensor_name(wanted)))
    except (KeyError, ValueError):  # no such tensor, or not the form of a name
        return None


def _by_scope(network: Network, wanted: str) -> Tensor | None:
    """Graphs without recorded layers still have their names in the operations' scopes; Keras 3 adds a number."""
    for scope in (re.escape(wanted), re.escape(wanted) + r"_\d+"):
        for operation in reversed(network.order):
            if re.search(f"(^|/){scope}/", operation.name) and network.feature_map(operation.outputs[0]) is not None:
                return same_value(operation.outputs[0])
    return None


def _by_pattern(network: Network, wanted: str) -> Tensor | None:
    try:
        pattern = re.compile(wanted)
    except re.error:
        return None
    names = [c for c in network.candidates if pattern.search(c.name)] or [
        c for c in network.candidates if pattern.search(c.tensor)
    ]
    return _only(network, wanted, [network.graph.get_tensor_by_name(c.tensor) for c in names])


def _only(network: Network, wanted: str, tensors: Sequence[Tensor]) -> Tensor | None:
    """The tensor of the few that the scores depend on; any, where they depend on none."""
    tensors = list({tensor.name: tensor for tensor in map(same_value, tensors)}.values())
    used = [tensor for tensor in tensors if tensor.op in network.position]
    if len(used) > 1:
        names = ", ".join(f"{network.name_of.get(t.name, '')} {t.name}".strip() for t in used)
        raise ModelRefused(f"{wanted!r} fits several tensors: {names}. Name one of them in model.target_layer.")
    return (used or tensors or [None])[0]


def _checked(network: Network, wanted: str, tensor: Tensor) -> FeatureMap:
    feature_map = network.feature_map(tensor)
    if feature_map is not None:
        return feature_map
    shape = tensor.shape.as_list() if tensor.shape.rank is not None else None
    if shape is None or len(shape) != 4:
        why = f"has shape {shape}, which is not a feature map [batch, height, width, channels]"
    elif tensor.op not in network.position:
        why = "is not on a path from the image to the scores: the scores do not depend on it"
    elif None in shape[1:]:
        why = f"has shape {shape}: its size is known only when the model runs. Set model.input_size"
    elif math.prod(shape[1:]) == shape[channel_axis(tensor)]:
        why = "has a grid of one cell: nothing can be located on it"
    elif not network.lies_over_the_image(tensor):
        why = f"has shape {shape} and is no grid over the image (the tokens of an attention layer?)"
    else:
        why = "comes before the first layer with weights, or only pads or casts"
    raise ModelRefused(f"{wanted!r} ({tensor.name}) {why}. {_remedy(network)}")


def _remedy(network: Network) -> str:
    names = [f"{i} {c.name} ({c.height}x{c.width}x{c.channels})" for i, c in enumerate(network.candidates)][-8:]
    return f"Set model.target_layer to auto or to one of the candidates, the last of which are: {', '.join(names)}."
