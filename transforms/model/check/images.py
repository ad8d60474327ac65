"""What is measured in a check: a few images, and what is known about each. No TensorFlow here."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from transforms.expected import Expected


@dataclasses.dataclass(frozen=True, eq=False)
class CheckedImages:
    """The images of a check, and what is known about each; N of them."""

    pixels: np.ndarray  # uint8 RGB [N, H, W, 3], at the size of the model's input
    labels: Sequence[Sequence[int] | None]  # the true classes
    expected: Sequence[Expected | None]  # the user's own predictions
    values: np.ndarray | None = None  # float64 [N, C], NaN where nothing is known: for an output that is no class
    references: np.ndarray | None = None  # float [N, H, W, 3]: what the user's own code feeds to the model
    beside: Sequence[np.ndarray] = ()  # the model's other inputs, [N, ...] each
