"""How the pixels of a photo become those of the model input: what part is shown, how large, through what filter."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from transforms.placement import WHOLE, Placement, Resize, place
from transforms.records import Box

Interpolation = Literal["area", "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]
Colour = tuple[int, int, int]

# Where the photo is made smaller, these look at a few pixels of it only, unless they are told to antialias.
_WITH_ANTIALIAS = ("bilinear", "bicubic", "lanczos3", "lanczos5")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What is done to a decoded photo; the words are those of ``tf.image.resize``.

    ``area`` averages sides that shrink and interpolates sides that grow linearly. The others are within one level of
    255 of ``tf.image.resize``, rounded and clipped to 0..255; with ``antialias`` they are within two of Pillow's filter
    of that name (Pillow's LANCZOS is ``lanczos3``). Where ``nearest`` falls exactly between two pixels, TensorFlow and
    Pillow round differently: with ``antialias`` the choice is Pillow's, without it TensorFlow's.
    """

    resize: Resize = "stretch"
    interpolation: Interpolation = "area"
    # None: as those who use the filter have it. False for all but nearest, which is that of keras.utils.load_img.
    antialias: bool | None = None
    crop_fraction: float = 1.0  # of the resized photo, the centre that is shown: 0 < fraction <= 1; 1 with pad
    pad_color: Colour = (0, 0, 0)  # RGB of the bars, with pad

    def settled(self) -> "Sampling":
        """The same without what makes no difference, so that equal samplings are equal."""
        antialias = None
        if self.interpolation in _WITH_ANTIALIAS:
            antialias = bool(self.antialias)
        elif self.interpolation == "nearest":
            antialias = self.antialias is not False
        colour = self.pad_color if self.resize == "pad" else (0, 0, 0)
        return dataclasses.replace(self, antialias=antialias, pad_color=colour)

    @property
    def uses_every_pixel(self) -> bool:
        """A photo that was decoded at a reduced scale gives the same input, up to a level or so."""
        settled = self.settled()
        return settled.interpolation == "area" or (settled.interpolation != "nearest" and settled.antialias is True)

    def need(self, input_height: int, input_width: int) -> tuple[int, int] | None:
        """(height, width) that the whole photo is brought to, about; None where it must be decoded at full scale."""
        if not self.uses_every_pixel:
            return None
        return math.ceil(input_height / self.crop_fraction), math.ceil(input_width / self.crop_fraction)

    def place(self, width: int, height: int, input_height: int, input_width: int, seen: Box = WHOLE) -> Placement:
        """The placement of a photo of ``width`` x ``height`` pixels in the input, of which the map covers ``seen``."""
        return place(width, height, input_height, input_width, self.resize, self.crop_fraction, seen)

    def as_fields(self) -> dict[str, Any]:
        """For the card of a model, JSON: everything that matters, by name."""
        return dataclasses.asdict(self.settled())

    def beyond_default(self) -> dict[str, Any]:
        """What counts in a fingerprint besides ``resize``: empty for an area average of the whole photo."""
        fields, default = self.as_fields(), Sampling(self.resize).as_fields()
        return {name: value for name, value in fields.items() if value != default[name]}

    def differences(self, other: "Sampling") -> list[str]:
        """``name value`` of what is not as in the other."""
        fields, others = self.as_fields(), other.as_fields()
        return [f"{name} {value}" for name, value in fields.items() if value != others[name]]

    @property
    def filter_name(self) -> str:
        """The filter alone, as "bilinear, no antialias"."""
        smooth = {None: "", True: ", antialias", False: ", no antialias"}
        return self.interpolation + smooth[self.settled().antialias]

    def __str__(self) -> str:
        part = "" if self.crop_fraction == 1 else f", the central {self.crop_fraction:g} of each side"
        bars = f", bars of {list(self.pad_color)}" if self.resize == "pad" else ""
        return f"{self.resize}, {self.filter_name}{part}{bars}"

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Sampling":
        """The inverse of :meth:`as_fields`; further keys are passed over, and cards of earlier versions have less."""
        known = {field.name: fields[field.name] for field in dataclasses.fields(cls) if field.name in fields}
        if "pad_color" in known:
            known["pad_color"] = tuple(known["pad_color"])
        return cls(**known)


INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)

USUAL_FILTERS: tuple[tuple[Interpolation, bool | None], ...] = (
    ("area", None),
    ("nearest", None),
    ("bilinear", False),
    ("bilinear", True),
    ("bicubic", True),
)
"""Interpolation and antialias, as those who train have them: OpenCV's areas, load_img, tf.image, torchvision, timm."""
