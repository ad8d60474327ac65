"""Which layers' maps are fused: ``explain.layers``. Imports TensorFlow."""

import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.options import ATTENTION_METHODS, ModelOptions
from transforms.model.plan.layers import layers_up_to
from transforms.model.plan.network import FeatureMap, Network
from transforms.records import Box

_CELL = 0.5  # of one, that two layers may lie apart


def fused_before(network: Network, target: FeatureMap, options: ModelOptions) -> tuple[FeatureMap, ...]:
    """The layers before the target whose maps are fused with its own, from the image to the scores.

    Raises:
        ModelRefused: there are not so many, or the method or the precision has nothing to fuse.
    """
    if options.layers == 1:
        return ()
    asked = f"explain.layers: {options.layers}"
    if options.method in ATTENTION_METHODS:
        raise ModelRefused(
            f"{asked}: {options.method} is made of the attention of all blocks already. Say 1, or another method."
        )
    if options.precision != "float32":
        raise ModelRefused(
            f"{asked}: layers in front of the target layer would be computed in {options.precision}. Say "
            "model.precision: float32."
        )
    place = network.position[network.operation_of(target)]
    before = [layer for layer in network.candidates if network.position[network.operation_of(layer)] < place]
    layers = layers_up_to(target, before, options.layers)
    if len(layers) < options.layers:
        names = ", ".join(layer.name for layer in layers)
        raise ModelRefused(
            f"{asked}, but of the layers up to {target.name} only {len(layers)} are different enough: {names}. Say "
            f"{len(layers)} or fewer."
        )
    return tuple(layers[:-1])


def same_view(layer: FeatureMap, seen: Box, target: FeatureMap, target_seen: Box) -> None:
    """Refuse layers that see other parts of the input, whose cells do not lie over each other.

    Raises:
        ModelRefused: they are more than half a cell apart.
    """
    cells = np.abs(np.subtract(seen, target_seen)) * ([layer.width, layer.height] * 2)
    if cells.max() > _CELL:
        raise ModelRefused(
            f"explain.layers: {layer.name} covers {[round(edge, 3) for edge in seen]} of the input and {target.name} "
            f"{[round(edge, 3) for edge in target_seen]}, so that their maps cannot be laid over each other. Fuse "
            "fewer layers, or say what they cover in model.geometry."
        )
