"""The user's own predictions, of ``input.columns.expected``: what the model should say."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from transforms.records import ImageRef
from transforms.targets import Classes, UnknownClassError

_NEAR = 0.05  # of a probability


@dataclasses.dataclass(frozen=True)
class Expected:
    """A class, or a probability: of class 1 where there are two, else of the class that is predicted."""

    index: int | None
    probability: float | None = None

    def agrees(self, predicted: int, probabilities: np.ndarray) -> bool:
        """Whether the model says the same; ``probabilities`` ``[C]``."""
        if self.index is not None:
            return predicted == self.index
        said = probabilities[1] if len(probabilities) == 2 else probabilities[predicted]
        return abs(float(said) - (self.probability or 0.0)) <= _NEAR


def expected_of(ref: ImageRef, classes: Classes) -> Expected | None:
    """What the manifest expects of an image; None where it says nothing, or nothing that is known."""
    if ref.expected is None:
        return None
    try:
        return Expected(classes.index_of(ref.expected))
    except UnknownClassError:
        try:
            probability = float(ref.expected)
        except ValueError:
            return None
    if not 0 <= probability <= 1:
        return None
    return Expected(int(probability >= 0.5) if classes.count == 2 else None, probability)


def agreement(expected: Sequence[Expected | None], predicted: np.ndarray, probabilities: np.ndarray) -> float | None:
    """The share of images on which the model says what is expected; None where nothing is.

    Args:
        predicted: int ``[N]``.
        probabilities: ``[N, C]``.
    """
    known = [
        each.agrees(int(index), row)
        for each, index, row in zip(expected, predicted, probabilities, strict=True)
        if each is not None
    ]
    return float(np.mean(known)) if known else None
