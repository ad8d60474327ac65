"""How measures and properties of images are called in a sentence."""

import dataclasses

from pipeline.audit.inputs import CORNERS

_LONGEST = 60


@dataclasses.dataclass(frozen=True)
class LookWords:
    """How more and less of a measure are said, its unit, and the smallest difference that is worth a sentence.

    Among many photos a difference that nobody would see is significant too.
    """

    more: str  # after "the model"
    less: str
    unit: str
    digits: int = 2
    least: float = 0.03


LOOK_WORDS = {
    "border": LookWords("looks at the border more", "looks at the border less", "times uniform", 1, 0.2),
    "corner": LookWords("looks at one corner more", "looks at the corners less", "times uniform", 1, 0.2),
    "centre": LookWords("looks at the centre more", "looks at the centre less", "of the map"),
    "across": LookWords("looks further to the right", "looks further to the left", "of the width"),
    "down": LookWords("looks further down", "looks further up", "of the height"),
    "area": LookWords("looks at more of the picture", "looks at less of the picture", "of the cells"),
    "object": LookWords("looks at the object more", "looks at the object less", "times uniform", 1, 0.2),
    "probability": LookWords("is surer", "is less sure", "probability"),
}

ENDS = {  # of the photos: those with little and those with much of a property
    "brightness": ("darkest", "brightest"),
    "contrast": ("flattest", "most contrasty"),
    "sharpness": ("most blurred", "sharpest"),
    "saturation": ("palest", "most colourful"),
    "pixels": ("smallest", "largest"),
    "aspect ratio": ("narrowest", "widest"),
    "bytes per pixel": ("most compressed", "least compressed"),
}


def place_of(measure: str) -> str:
    """Where maps lie that have much of a measure, after "the model looks at"."""
    if measure.startswith("region_"):
        return f"the region {measure.removeprefix('region_')}"
    if measure == "padding_mass":
        return "the letterbox bars"
    corner = CORNERS.get(measure.removeprefix("corner_"))
    return f"the {corner} corner" if corner else "the border"


def amount(measure: str, value: float) -> str:
    """So much of a measure of places, with its unit."""
    return f"{value:.0%} of the map" if measure == "padding_mass" else f"{value:.1f} times uniform"


def named(name: str) -> str:
    """A name from a manifest or a model within a sentence: not too long, and its writing direction its own."""
    short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    return short if short.isascii() else f"\u2068{short}\u2069"


def photos(count: int) -> str:
    return f"{count:,} photo{'' if count == 1 else 's'}"


def p_value(p: float) -> str:
    return "p < 1e-12" if p < 1e-12 else f"p = {p:.1g}"
