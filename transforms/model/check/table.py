"""What a check has measured: a row for each preprocessing, the one that is taken first. No TensorFlow here."""

import dataclasses
import json
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class PixelRow:
    """The scores of the checked images under one preprocessing."""

    name: str
    scale: tuple[float, ...]  # of the model's channels
    offset: tuple[float, ...]
    bgr: bool
    accuracy: float | None  # of the images with labels
    confidence: float  # mean of the highest probability
    mutual_information: float  # H(mean p) - mean H(p), in nats: how much the scores tell the images apart
    spread: float  # entropy of the predicted classes, in nats: the same where the scores are scaled
    same_class: float  # share of the images whose predicted class is that of the preprocessing that is taken
    wins: int  # images that are right here and wrong as taken
    losses: int
    p_value: float | None  # exact McNemar, two-sided, of the two; None without labels
    agreement: float | None  # with the user's own predictions, of the images that have them
    reference_agreement: float | None = None  # of the predicted class with that of the user's own arrays
    input_difference: float | None = None  # mean absolute difference from them, as a share of their range
    error: float | None = None  # values: mean absolute difference from the labels; ``wins`` are images nearer to them
    filter: str = ""  # how the photos were resized, as "bilinear, antialias"
    map_distance: float | None = None  # mean Jensen-Shannon distance of the maps from those of the user's own arrays


@dataclasses.dataclass(frozen=True)
class PixelCheck:
    """What was seen of how a model's pixels suit it."""

    fingerprint: str
    images: int  # that could be loaded
    labelled: int  # of them
    expected: int  # with a prediction of the user's own
    referenced: int  # with an array of the user's own
    evidence: str  # said, contract, chain, open: how the preprocessing was chosen
    seen: str  # for a person
    rows: tuple[PixelRow, ...]
    seconds: float
    filters: tuple[PixelRow, ...] = ()  # other ways to resize the photos, for what is taken and for the best other
    are_values: bool = False  # the output is no class: labels alone, and the user's own code, tell preprocessings apart

    @property
    def taken(self) -> PixelRow:
        return self.rows[0]

    def encode(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=2).encode()

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Raises ValueError, TypeError, KeyError: it is none of this version."""
        fields: dict[str, Any] = json.loads(content)
        return cls(**{**fields, **{name: tuple(map(_row, fields[name])) for name in ("rows", "filters")}})


def _row(fields: dict[str, Any]) -> PixelRow:
    return PixelRow(**{**fields, "scale": tuple(fields["scale"]), "offset": tuple(fields["offset"])})
