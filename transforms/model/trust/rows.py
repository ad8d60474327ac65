"""The table of methods and layers, and what its columns mean. No TensorFlow here."""

import dataclasses

import numpy as np

MEASURES = {
    "deletion": "area under the probability as the map's highest pixels are blurred first: small is good (RISE, 2018)",
    "insertion": "the same as they are put first into the blurred image: large is good (RISE, 2018)",
    "road": "mean probability left as the highest pixels are imputed from their neighbours: small is good (2202.00449)",
    "flip": "correlation of the map of the mirrored image, mirrored back, with the map",
    "shift": "correlation of the map of the image moved by a thirty-second, moved back, with the map",
    "classes": "correlation of the map with that of the class in the middle of the ranking: small is good",
    "scrambled": "correlation of the map with that of the model with scrambled weights: small (Adebayo et al., 2018)",
    "pointing": "share of peaks in a box, less that of the centre",
}
"""Column -> what it is, for a person."""

BASELINES = ("shuffled", "centre")
FEWEST = 10
"""Images, from which on an interval of a mean says something."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrustRow:
    """A method on a layer, or on several together; or a baseline."""

    method: str  # a method's name; shuffled or centre
    layer: str  # its name; "" for a baseline
    fusion: str  # "", or how maps of several layers came together: product or maximum
    values: dict[str, np.ndarray]  # measure -> float64 [N], NaN where an image has none

    @property
    def is_baseline(self) -> bool:
        return self.method in BASELINES

    @property
    def name(self) -> str:
        return self.method if not self.layer else f"{self.method} at {self.layer}"

    @property
    def advantage(self) -> np.ndarray:
        """Insertion less deletion, of each image."""
        return self.values["insertion"] - self.values["deletion"]

    def interval(self, measure: str) -> tuple[float, float]:
        return interval(self.values[measure])

    def mean(self, measure: str) -> float:
        known = self.values[measure][~np.isnan(self.values[measure])]
        return float(known.mean()) if len(known) else float("nan")


@dataclasses.dataclass(frozen=True, eq=False)
class MethodTable:
    """What was measured."""

    rows: tuple[TrustRow, ...]
    images: int
    with_boxes: int
    seconds: float
    layers: tuple[str, ...] = ()  # from the image to the target layer
    places: tuple[str | int, ...] = ()  # of each of them, what model.target_layer would say

    @property
    def baselines(self) -> tuple[TrustRow, ...]:
        return tuple(row for row in self.rows if row.is_baseline)


def interval(values: np.ndarray, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Of the mean, 95 %, by the percentile bootstrap over images (Efron, 1979); NaN for fewer than five."""
    known = values[~np.isnan(values)]
    if len(known) < 5:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(0, len(known), (resamples, len(known)))
    low, high = np.quantile(known[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
