"""The attention maps of a transformer, for the methods that are made of them. Imports TensorFlow."""

import dataclasses
from collections.abc import Sequence

from transforms.model.errors import ModelRefused
from transforms.model.graph import Operation, consumers, producers, reachable
from transforms.model.plan.network import FeatureMap, Network
from transforms.model.plan.tokens import TokenLayout


@dataclasses.dataclass(frozen=True)
class AttentionMaps:
    """Of the blocks that attend over all tokens, from the image to the scores."""

    maps: tuple[str, ...]  # softmax tensors, [B, heads, T, T]: a row for each token that asks
    tokens: tuple[str, ...]  # what each block gives, but the last: [B, T, C], as the head takes it
    head: str  # the tensor that the head begins with: what the last block gives
    layout: TokenLayout

    @property
    def tensors(self) -> tuple[str, ...]:
        return (*self.maps, *self.tokens, self.head)


def find_attention(network: Network, target: FeatureMap, method: str) -> AttentionMaps:
    """The attention over the tokens of a feature map, and over the class token beside them.

    Raises:
        ModelRefused: there is none.
    """
    remedy = "Choose gradcam, hirescam, layercam, xgradcam or gradcam++, which every model with a feature map has."
    if target.tokens is None:
        raise ModelRefused(
            f"explain.method {method} is made of attention maps, and {target.name} is no layer of tokens. {remedy}"
        )
    layout = target.tokens.layout
    softmaxes = [operation for operation in network.order if _attends(operation, layout.tokens)]
    if not softmaxes:
        raise ModelRefused(
            f"explain.method {method} needs attention of each token to all {layout.tokens}, a softmax [batch, heads, "
            f"{layout.tokens}, {layout.tokens}] in the graph, and there is none: attention in windows, or fused into "
            f"one operation. {remedy}"
        )
    blocks = _blocks(network, softmaxes, layout)
    if blocks is None:
        raise ModelRefused(f"explain.method {method}: where the blocks of attention end cannot be seen. {remedy}")
    return AttentionMaps(tuple(o.outputs[0].name for o in softmaxes), tuple(blocks[:-1]), blocks[-1], layout)


def _attends(operation: Operation, tokens: int) -> bool:
    if operation.type != "Softmax":
        return False
    shape = operation.outputs[0].shape
    return shape.rank == 4 and shape[0] is None and shape.as_list()[2:] == [tokens, tokens]


def _blocks(network: Network, softmaxes: Sequence[Operation], layout: TokenLayout) -> list[str] | None:
    """What each block gives: the last cut of all the tokens before the next block attends.

    Of the last block it is the cut that has as many layers with weights between its attention and itself as the blocks
    before; where there is but one block, the first cut that no layer with weights but the head's comes behind.
    """
    cuts = [each for each in network.candidates if each.tokens is not None and each.tokens.layout == layout]
    places = [network.position[network.operation_of(each)] for each in cuts]
    ends = [*(network.position[softmax] for softmax in softmaxes[1:]), len(network.order)]
    found: list[str] = []
    depth = None
    for softmax, end in zip(softmaxes, ends, strict=True):
        start = network.position[softmax]
        within = [cut for cut, place in zip(cuts, places, strict=True) if start < place < end]
        if not within:
            return None
        depths = [_layers_between(network, softmax, cut) for cut in within]
        if end < len(network.order):
            depth = depths[-1]
            found.append(within[-1].tensor)
        else:
            wanted = depths[-1] if depth is None else depth
            if wanted not in depths:
                return None
            found.append(within[depths.index(wanted)].tensor)
    return found


def _layers_between(network: Network, softmax: Operation, cut: FeatureMap) -> int:
    between = reachable(softmax, consumers) & reachable(network.operation_of(cut), producers)
    return network.weighted_layers(between)
