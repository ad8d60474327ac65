"""What gradients on made-up images tell of the tokens of a network. Imports TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from transforms.model.graph import operations
from transforms.model.plan.front import ImageInput
from transforms.model.plan.network import FeatureMap, Network
from transforms.model.plan.tokens import MOVES_NUMBERS, TokenLayout, carriers, reached_by_gradient


@dataclasses.dataclass(frozen=True, eq=False)
class TokenProbe:
    """See :class:`transforms.model.plan.tokens.Probe`."""

    network: Network
    images: ImageInput
    scores: str  # tensor

    def reached(self, maps: Sequence[FeatureMap]) -> Mapping[str, bool]:
        layouts = [(each.tensor, _layout(each)) for each in maps]
        return reached_by_gradient(self.images.flat, self.scores, layouts, self._feeds())

    def carrier(self, start: FeatureMap, end: FeatureMap) -> FeatureMap | None:
        first, last = (self.network.position[self.network.operation_of(each)] for each in (start, end))
        found = []
        for operation in self.network.order[first + 1 : last]:
            if operation.type in MOVES_NUMBERS | operations.SAME_VALUE | {"Cast"}:
                continue
            between = self.network.feature_map(operation.outputs[0]) if operation.outputs else None
            if between is not None and between.tokens is not None and _layout(between) == _layout(start):
                found.append(between)
        if not found:
            return None
        names = [each.tensor for each in found]
        carries = carriers(self.images.flat, self.scores, (start.tensor, _layout(start)), names, self._feeds())
        return next((each for each in reversed(found) if carries[each.tensor]), None)

    def _feeds(self) -> Mapping[str, np.ndarray]:
        noise = np.random.default_rng(0).integers(0, 256, (2, self.images.height, self.images.width, 3), np.uint8)
        return self.images.feeds(noise)


def _layout(feature_map: FeatureMap) -> TokenLayout:
    assert feature_map.tokens is not None
    return feature_map.tokens.layout
