"""For pixels of which range was a chain of affine operations made? Told by its constants. No TensorFlow here.

A network is trained with pixels of 0..1, -1..1, centred on ImageNet's means, or standardised by the means and
deviations of its own photos. So the constants in front of it tell of what range they were made: ``x / 255`` brings
0..255 to 0..1 and nothing else to anything that is known; ``2 x - 1`` brings 0..1 to -1..1.
"""

import dataclasses
import math

import numpy as np

from transforms.model.preprocessing import IMAGENET_MEAN, IMAGENET_STD, NAMED, SIXTEEN_BITS, Preprocessing


@dataclasses.dataclass(frozen=True, eq=False)
class Affine:
    """What a chain makes of the pixels of a photo: ``scale * pixel + offset``, float64 ``[3]`` of red, green, blue."""

    scale: np.ndarray
    offset: np.ndarray
    reverses: bool = False  # blue comes first behind it

    @property
    def is_identity(self) -> bool:
        """Nearly so, as a batch norm is that was never trained: its epsilon alone divides by 1.0005."""
        return bool(np.allclose(self.scale, 1, rtol=5e-3) and np.allclose(self.offset, 0, atol=5e-3))

    def of(self, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
        """The interval of each channel, the lower end first."""
        ends = np.stack([self.scale * low + self.offset, self.scale * high + self.offset])
        return ends.min(axis=0), ends.max(axis=0)

    def before(self, last: "Affine") -> "Affine | None":
        """What comes before the steps ``last``, so that both make this; None where they mix channels otherwise."""
        if self.reverses != last.reverses or not np.all(last.scale):
            return None
        return Affine(self.scale / last.scale, (self.offset - last.offset) / last.scale)

    def after(self, before: "Affine") -> "Affine | None":
        """What turns ``before`` into this; None where that is no matter of channels alone."""
        if self.reverses != before.reverses or not np.all(before.scale):
            return None
        scale = self.scale / before.scale
        return Affine(scale, self.offset - scale * before.offset)


@dataclasses.dataclass(frozen=True)
class PixelRange:
    """Pixels as a pipeline of training may hand them over."""

    low: float
    high: float
    preprocessing: Preprocessing  # that makes them

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"


RANGES = (
    PixelRange(0, 255, NAMED["none"]),
    PixelRange(0, 1, NAMED["unit"]),
    PixelRange(-1, 1, NAMED["minus_one_to_one"]),
    PixelRange(0, 65535, SIXTEEN_BITS),
)


@dataclasses.dataclass(frozen=True)
class Fit:
    """A range, and what the chain makes of it."""

    pixels: PixelRange
    target: str  # for a person: what the network gets


@dataclasses.dataclass(frozen=True, eq=False)
class _Target:
    name: str
    low: np.ndarray  # of red, green and blue
    high: np.ndarray
    reverses: bool | None = None  # None: in either order

    def error(self, affine: Affine, pixels: PixelRange) -> float:
        """The largest difference of an end, as a share of the interval."""
        if self.reverses not in (None, affine.reverses):
            return math.inf
        low, high = affine.of(pixels.low, pixels.high)
        differences = np.maximum(abs(low - self.low), abs(high - self.high))
        return float((differences / (self.high - self.low)).max())


def _target(name: str, scale: float | np.ndarray, offset: float | np.ndarray, reverses: bool | None = None) -> _Target:
    """What ``scale * pixel + offset`` makes of 0..255."""
    ends = np.sort(np.stack([np.broadcast_to(offset, 3), 255 * np.broadcast_to(scale, 3) + offset]), axis=0)
    return _Target(name, ends[0].astype(float), ends[1].astype(float), reverses)


_MEAN, _STD = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
_BYTES = np.array([123.68, 116.779, 103.939])  # the same means for 0..255, as Caffe's models have them
_TARGETS = (
    _target("0..1", 1 / 255, 0),
    _target("0..1", 1 / 256, 0),
    _target("-1..1", 1 / 127.5, -1),
    *(_target("-1..1", 1 / scale, -offset / scale) for scale in (127, 127.5, 128) for offset in (127, 127.5, 128)),
    _target("-0.5..0.5", 1 / 255, -0.5),
    _target("ImageNet's standardised pixels", 1 / (255 * _STD), -_MEAN / _STD),
    _target("pixels less ImageNet's means", 1, -_BYTES),
    _target("pixels less ImageNet's means", 1, -255 * _MEAN),
    _target("pixels less 127.5", 1, -127.5),
    _target("pixels less 128", 1, -128),
    _target("0..255", 1, 0),
)
_EXACT = 3e-3  # of an interval: 255 and 256, or 65535 / 255 = 257 and 255, are further apart


def fits(affine: Affine) -> Fit | None:
    """The range of pixels that a chain was made for; None where its constants do not tell."""
    if affine.is_identity:
        return None
    found = [
        (error, Fit(pixels, target.name))
        for target in _TARGETS
        for pixels in RANGES
        if (error := target.error(affine, pixels)) <= _EXACT
    ]
    if found:
        return min(found, key=lambda each: each[0])[1]
    return _standardised(affine)


def range_for(affine: Affine, wanted: Preprocessing) -> PixelRange | None:
    """The range that a chain turns into what ``wanted`` makes of 0..255; None where it is none of those known."""
    scale, offset = np.array(wanted.scale), np.array(wanted.offset)
    if wanted.bgr:
        scale, offset = scale[::-1], offset[::-1]
    target = _target("", scale, offset, wanted.bgr)
    errors = [(target.error(affine, pixels), pixels) for pixels in RANGES]
    error, pixels = min(errors, key=lambda each: each[0])
    return pixels if error <= _EXACT else None


# Of photos, as shares of the range of their pixels: where the mean lies, and the standard deviation. ImageNet's are
# 0.45 and 0.22; slides under a microscope are brighter, radiographs darker and softer.
_MEANS = (0.05, 0.9)
_DEVIATIONS = (0.08, 0.45)
_TYPICAL = (0.45, 0.25)
_CLEARLY = 0.25  # of the distance below, between the first and the second


def _standardised(affine: Affine) -> Fit | None:
    """``(x - mean) / deviation``: what these two say of the photos that they were taken from."""
    if not np.all(affine.scale > 0):
        return None
    mean, deviation = (-affine.offset / affine.scale).mean(), (1 / affine.scale).mean()
    found = []
    for pixels in RANGES:
        width = pixels.high - pixels.low
        place, spread = (mean - pixels.low) / width, deviation / width
        if _MEANS[0] <= place <= _MEANS[1] and _DEVIATIONS[0] <= spread <= _DEVIATIONS[1]:
            distance = abs(math.log(spread / _TYPICAL[1])) + 2 * abs(place - _TYPICAL[0])
            found.append((distance, Fit(pixels, "standardised pixels")))
    found.sort(key=lambda each: each[0])
    if not found or (len(found) > 1 and found[1][0] - found[0][0] < _CLEARLY):
        return None
    return found[0][1]
