"""The layers whose maps are looked at together: the target layer and sensible ones before it. No TensorFlow here."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

_SAME_WORK = 1e-9  # of the network's multiply-adds


class Layer(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def share_behind(self) -> float: ...


L = TypeVar("L", bound=Layer)


def layers_up_to(target: L, before: Sequence[L], count: int) -> list[L]:
    """Up to ``count`` layers, from the image to the scores; the target is the last.

    First the ends of the stages, as Jiang et al. take them (LayerCAM, IEEE TIP 30, 2021): of each finer grid the last
    layer. Where there are too few grids, as in a transformer, the last layers before the target that work lies between:
    not those that only a norm or an activation tells apart.

    Args:
        before: the feature maps in front of the target, from the image to the scores.
    """
    ends: list[L] = [target]
    for layer in reversed(before):
        if layer.height * layer.width > ends[0].height * ends[0].width and _has_work_behind(layer, ends[0]):
            ends.insert(0, layer)
    chosen = ends[-count:]
    following = target
    for layer in reversed(before):
        if len(chosen) < count and _has_work_behind(layer, following):
            following = layer
            if all(abs(layer.share_behind - one.share_behind) > _SAME_WORK for one in chosen):
                chosen.append(layer)
    return sorted(chosen, key=lambda layer: -layer.share_behind)


def finest_grid(layers: Sequence[L]) -> tuple[int, int]:
    """Height and width, cells."""
    return max(((layer.height, layer.width) for layer in layers), key=lambda grid: grid[0] * grid[1])


def _has_work_behind(layer: Layer, following: Layer) -> bool:
    return layer.share_behind > following.share_behind + _SAME_WORK
