"""What a model expects of pixels: one affine map per channel, by a name or as it is described."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Channels = tuple[float, float, float]


_COLOURS = np.array([[0, 0, 0], [255, 128, 64]], np.uint8)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """RGB pixels 0..255, or 0..65535, -> what the model takes: channels reversed if ``bgr``, then scaled and offset.

    It is ``pixels * scale + offset``; both are in the order of the model's channels, that is after the reversal.
    """

    name: str  # none, unit, minus_one_to_one, caffe, torch, efficientnet-lite0, or custom
    scale: Channels
    offset: Channels
    bgr: bool
    bits: int = 8  # 16: the pixels are of 0..65535, uint16

    def apply(self, images: np.ndarray) -> np.ndarray:
        """RGB ``images`` ``[..., 3]``, uint16 of 0..65535 or else of 0..255 -> float32, as the model takes them."""
        pixels = (images[..., ::-1] if self.bgr else images).astype(np.float32)
        given = 16 if images.dtype == np.uint16 else 8
        pixels = pixels * np.float32({8: 1 / 257, 16: 257}[self.bits] if self.bits != given else 1)
        return pixels * np.array(self.scale, np.float32) + np.array(self.offset, np.float32)

    def same_as(self, other: "Preprocessing") -> bool:
        """Whether both make the same of every picture: told by what they make of two colours."""
        return bool(np.allclose(self.apply(_COLOURS), other.apply(_COLOURS), rtol=1e-5, atol=1e-5))


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

NAMED: dict[str, Preprocessing] = {
    p.name: p
    for p in (
        Preprocessing("none", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), bgr=False),
        Preprocessing("unit", (1 / 255, 1 / 255, 1 / 255), (0.0, 0.0, 0.0), bgr=False),
        Preprocessing("minus_one_to_one", (1 / 127.5, 1 / 127.5, 1 / 127.5), (-1.0, -1.0, -1.0), bgr=False),
        Preprocessing("caffe", (1.0, 1.0, 1.0), (-103.939, -116.779, -123.68), bgr=True),
        Preprocessing(
            "torch",
            tuple(1 / (255 * s) for s in IMAGENET_STD),  # type: ignore[arg-type]
            tuple(-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)),  # type: ignore[arg-type]
            bgr=False,
        ),
    )
}
"""The conventions of the field, by name; those of keras.applications are all among them."""

LITE0 = Preprocessing("efficientnet-lite0", (1 / 128,) * 3, (-127 / 128,) * 3, bgr=False)
"""(x - 127) / 128, what bundled:efficientnet-lite0 was trained with."""


SIXTEEN_BITS = Preprocessing("16-bit", (1.0,) * 3, (0.0,) * 3, bgr=False, bits=16)
"""Pixels of 0..65535; a picture of 8 bits is widened to them."""


def parse_preprocessing(option: str | Mapping[str, Any]) -> Preprocessing:
    """The preprocessing that a user names, or describes as ``{scale, offset, bgr, bits}`` (each with a default).

    Raises:
        ValueError: with the value and what would be right.
    """
    if isinstance(option, str):
        if option not in NAMED:
            raise ValueError(
                f"preprocessing {option!r} is not known: say auto, {', '.join(NAMED)}, or {{scale, offset, bgr}} for "
                "pixels * scale + offset"
            )
        return NAMED[option]
    if not isinstance(option, Mapping):
        raise ValueError(f"preprocessing {option!r} is neither a name nor {{scale, offset, bgr}}")
    if unknown := sorted(set(option) - {"scale", "offset", "bgr", "bits"}):
        raise ValueError(f"preprocessing has no key {', '.join(unknown)}: it takes scale, offset, bgr and bits")
    bits = option.get("bits", 8)
    if type(bits) is not int or bits not in (8, 16):
        raise ValueError(f"preprocessing.bits is {bits!r}: say 8 for pixels of 0..255, or 16 for pixels of 0..65535")
    bgr = option.get("bgr", False)
    if not isinstance(bgr, bool):
        raise ValueError(f"preprocessing.bgr is {bgr!r}: say true or false")
    scale = _channels("scale", option.get("scale", 1.0))
    if 0.0 in scale:
        raise ValueError(f"preprocessing.scale is {option['scale']!r}: a scale of 0 makes every image the same")
    return Preprocessing("custom", scale, _channels("offset", option.get("offset", 0.0)), bgr, bits)


def as_named(preprocessing: Preprocessing) -> Preprocessing:
    """The named preprocessing that is equal to ``preprocessing`` up to float32 rounding, or else itself."""
    for named in NAMED.values():
        if (named.bgr, named.bits) == (preprocessing.bgr, preprocessing.bits) and np.allclose(
            [*named.scale, *named.offset], [*preprocessing.scale, *preprocessing.offset], rtol=1e-5, atol=1e-6
        ):
            return named
    return preprocessing


def _channels(key: str, value: object) -> Channels:
    values: Sequence[Any] = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    if len(values) not in (1, 3) or not all(_is_finite_number(v) for v in values):
        raise ValueError(f"preprocessing.{key} is {value!r}: say one number, or three, one for each channel")
    red, green, blue = (float(v) for v in (values if len(values) == 3 else tuple(values) * 3))
    return red, green, blue


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
