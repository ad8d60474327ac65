"""What the first layers with weights see of the model input: crops, pads and resizes in front are followed.

Imports TensorFlow. Images whose pixels say where they lie go through the part of the graph in front of those layers;
what comes out says where each of its pixels was. So it does not matter how a crop is spelled out: as a slice, in a
condition, or in the loop that ``tf.map_fn`` makes.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from transforms.model.graph import (
    FlatGraph,
    Operation,
    Tensor,
    evaluate,
    made_up_inputs,
    node_name,
    operations,
    producers,
    reachable,
)
from transforms.model.plan.checks import refusing_failures
from transforms.model.plan.marks import centre_of_response, marked_images
from transforms.model.plan.network import FeatureMap, Network
from transforms.model.preprocessing import Preprocessing
from transforms.model.tensorflow import tf
from transforms.placement import WHOLE
from transforms.records import Box

_MARKS = 9  # on each diagonal, where coordinates do not come through
_WHITE = 255
_SAME = 1e-3  # of the range of values
_MOVED = "the image is turned, mirrored or rolled in front of the first layer with weights"
_SUBPIXEL = 0.51  # pixels: half a pixel is a question of how a resize numbers them, not of what is seen


class CannotFollow(Exception):
    """Where a pixel in front of the first layer with weights comes from cannot be said; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageInput:
    """How images come into a flat graph."""

    flat: FlatGraph
    preprocessing: Preprocessing
    height: int  # pixels
    width: int
    channels_first: bool
    dtype: type

    def run(self, images: np.ndarray, tensor: str) -> np.ndarray:
        """The value of a tensor for uint8 images ``[N, H, W, 3]``."""
        with refusing_failures():
            return evaluate(self.flat.graph_def, self.feeds(images), [tensor])[tensor]

    def feeds(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """What the graph is run on, by node: its weights, the images as it takes them, other inputs made up."""
        pixels = images[..., ::-1] if self.preprocessing.bgr else images
        scale, offset = (np.array(each, np.float32) for each in (self.preprocessing.scale, self.preprocessing.offset))
        pixels = (pixels * scale + offset).astype(self.dtype)
        given = pixels.transpose(0, 3, 1, 2) if self.channels_first else pixels
        return {**self.flat.weights, node_name(self.flat.input): given, **made_up_inputs(self.flat, len(given))}


def follow_input(network: Network, target: FeatureMap, images: ImageInput) -> Box:
    """What the layers that read the image, and that ``target`` depends on, see of it, in 0..1 of the model input.

    Pads that a convolution adds for itself do not count: its grid stands for the image without them.

    Raises:
        CannotFollow: what comes out is no crop, pad or resize, or the layers see different parts.
    """
    entries = list(dict.fromkeys(_entries(network, target)))
    boxes = {box for tensor, axis in entries if (box := _seen_by(tensor, axis, images)) is not None}
    if not boxes:
        raise CannotFollow("no layer with weights reads the image as a grid of pixels")
    first = next(iter(boxes))
    if any(np.abs(np.subtract(box, first)).max() > 1e-4 for box in boxes):
        seen = " and ".join(str([round(edge, 3) for edge in box]) for box in sorted(boxes))
        raise CannotFollow(f"the first layers with weights see different parts of the image: {seen}")
    return min(boxes)


def _entries(network: Network, target: FeatureMap) -> Iterator[tuple[Tensor, int]]:
    """What the first layers with weights on the way to the target read, and the axis of its channels."""
    needed = reachable(network.graph.get_tensor_by_name(target.tensor).op, producers)
    behind: set[Operation] = set()
    for operation in network.order:
        sources = [tensor for tensor in operation.inputs if tensor.op in network.position]
        raw = [tensor for tensor in sources if tensor.op not in behind]
        if len(raw) == len(sources) and (operation.type not in operations.WEIGHTED or _mixes_colours(operation)):
            continue
        behind.add(operation)
        if operation in needed:
            # A vector beside the features, such as the mean colour, has no place.
            yield from (
                (without_own_padding(tensor, operation), _channel_axis(operation))
                for tensor in raw
                if tensor.shape.rank is None or tensor.shape.rank > 2
            )


def _mixes_colours(operation: Operation) -> bool:
    """A product of each pixel's few channels, such as the luma: it moves nothing."""
    kernel = operation.inputs[1].shape
    sizes = kernel.as_list() if kernel.rank else []
    return len(sizes) >= 2 and sizes[-2] is not None and sizes[-2] <= 4 and set(sizes[:-2]) <= {1}


def without_own_padding(tensor: Tensor, reader: Operation) -> Tensor:
    """The tensor before a pad that does for a ``VALID`` convolution or pooling what ``SAME`` would do."""
    pad = tensor.op
    while pad.type in operations.SAME_VALUE | {"Cast"} and pad.inputs:
        pad = pad.inputs[0].op
    paddings = tf.get_static_value(pad.inputs[1]) if pad.type in operations.PADS else None
    if paddings is None or paddings.shape != (4, 2):
        return tensor
    window = window_of(reader)
    return tensor if window is None or (paddings.sum(axis=1) > window - 1).any() else pad.inputs[0]


def window_of(reader: Operation) -> np.ndarray | None:
    """How far a ``VALID`` convolution or pooling reaches on each axis, int ``[4]``; None where it is no such thing."""
    if reader.type not in operations.CONVOLUTIONS | operations.POOLS or reader.get_attr("padding") != b"VALID":
        return None
    if reader.type in operations.POOLS:
        return np.array(reader.get_attr("ksize")) if reader.type != "MaxPoolV2" else None
    kernel = reader.inputs[1].shape
    if not kernel[:2].is_fully_defined():
        return None
    rows, columns = (2, 3) if reader.get_attr("data_format") == b"NCHW" else (1, 2)
    window, dilations = np.ones(4, int), reader.get_attr("dilations")
    for axis, size in ((rows, kernel[0]), (columns, kernel[1])):
        window[axis] = (size - 1) * dilations[axis] + 1
    return window


def _channel_axis(operation: Operation) -> int:
    formatted = operation.type in operations.CONVOLUTIONS
    return 1 if formatted and operation.get_attr("data_format") == b"NCHW" else 3


def _seen_by(tensor: Tensor, channel_axis: int, images: ImageInput) -> Box | None:
    """None for a tensor that shows nothing of the image, such as a picture to compare it with."""
    if tensor.name == images.flat.input:
        return WHOLE
    height, width = images.height, images.width
    base = max(16, math.isqrt(max(height, width) - 1) + 1)
    pictures = _coordinates(height, width, base)
    values = _grid(images.run(pictures, tensor.name), len(pictures), channel_axis)
    black, white, *parts, some, other, both = values
    if np.array_equal(values, np.broadcast_to(values[0], values.shape)):
        return None
    step = white - black
    if not np.abs(some + other - black - both).max() <= _SAME * np.abs(step).max():
        return _by_marks(tensor, channel_axis, images)  # each picture by its own mean and deviation, for one
    largest = np.abs(step).max(axis=(0, 1))
    shows = (np.abs(step) >= 0.99 * largest) & (largest > _SAME * largest.max())
    steps = np.where(shows, step, 1.0)
    places = []
    for high, low in (parts[:2], parts[2:]):
        coarse, fine = ((part - black) / steps for part in (high, low))
        place = (base * coarse + fine) * (_WHITE / _per_digit(base))
        counts = shows.sum(axis=2)
        places.append(np.where(counts > 0, (place * shows).sum(axis=2) / np.maximum(counts, 1), np.nan) + 0.5)
    (left, right), (top, bottom) = _edges(places[0], width), _edges(places[1].T, height)
    return left / width, top / height, right / width, bottom / height


def _coordinates(height: int, width: int, base: int) -> np.ndarray:
    """Black, white, the place across in two digits, the place down in two, and two pictures with their sum."""
    noise = np.random.default_rng(0).integers(0, 128, (2, height, width))
    pictures = [np.zeros((height, width)), np.full((height, width), _WHITE)]
    for place in np.meshgrid(np.arange(width), np.arange(height)):
        pictures += [digit * _per_digit(base) for digit in divmod(place, base)]
    return np.stack([*pictures, noise[0], noise[1], noise.sum(axis=0)])[..., None].repeat(3, axis=3).astype(np.uint8)


def _per_digit(base: int) -> int:
    """How much brighter a pixel is for each one more of its digit: whole levels, none beyond white."""
    return _WHITE // (base - 1)


def _grid(values: np.ndarray, count: int, channel_axis: int) -> np.ndarray:
    if len(values) != count:
        raise CannotFollow(f"{len(values)} pictures are made of {count} in front of the first layer with weights")
    if values.ndim != 4 or min(values.shape) == 0:
        raise CannotFollow(f"the first layer with weights reads a tensor of shape {list(values.shape[1:])}, no picture")
    grid = values.transpose(0, 2, 3, 1) if channel_axis == 1 else values
    if not np.isfinite(grid).all():
        raise CannotFollow("what the first layer with weights reads is not finite for made-up pictures")
    return grid.astype(np.float64)


def _edges(places: np.ndarray, size: int) -> tuple[float, float]:
    """Where the first column begins and the last one ends, in pixels of the input.

    Args:
        places: across the input, in pixels, for each pixel ``[h, w]``; NaN for those that show nothing of it.
        size: of the input, pixels.
    """
    shown = np.flatnonzero((~np.isnan(places)).any(axis=0))
    if len(shown) < 2:
        raise CannotFollow("too little of the image comes to the first layer with weights to say where it was")
    middle = np.nanmedian(places[:, shown], axis=0)
    quarter = len(shown) // 4
    inner = slice(quarter, len(shown) - quarter)  # interpolation holds the outermost values
    step, start = np.polyfit(shown[inner] + 0.5, middle[inner], 1) if len(shown[inner]) > 1 else (0.0, 0.0)
    if step <= _SAME:
        raise CannotFollow(_MOVED)
    expected = start + step * (np.arange(places.shape[1]) + 0.5)
    inside = (expected > 0) & (expected < size)
    off = np.abs(places - expected)[:, inside]
    if not np.mean(off[~np.isnan(off)] <= 1 + step) >= 0.95:
        raise CannotFollow("the pixels that the first layer with weights reads are not in the order of the image's")
    # Beyond the image a pad shows nothing, its border or its reflection.
    reflected = np.where(expected < 0, -expected, 2 * size - expected)
    beyond = np.minimum(np.abs(places - reflected), np.abs(places - expected.clip(0, size)))[:, ~inside]
    if (beyond[~np.isnan(beyond)] > 2 + step).any():
        raise CannotFollow(_MOVED)
    return _settled(start, size, step), _settled(start + step * places.shape[1], size, step)


def _settled(edge: float, size: int, step: float, close: float = 0.02) -> float:
    for border in (0.0, float(size)):
        if abs(edge - border) <= _SUBPIXEL * max(1.0, step):
            return border
    return float(round(edge)) if abs(edge - round(edge)) < close else float(edge)


def _by_marks(tensor: Tensor, channel_axis: int, images: ImageInput) -> Box:
    """By where marks come out: in less detail than coordinates, but whatever is done to the values."""
    line = (np.arange(_MARKS) + 0.5) / _MARKS
    diagonals = [*zip(line, line, strict=True), *zip(line, line[::-1], strict=True)]
    pictures, centres = marked_images(images.height, images.width, diagonals, (_WHITE, _WHITE, _WHITE))
    values = _grid(images.run(pictures, tensor.name), len(pictures), channel_axis)
    found = [centre_of_response(change) for change in np.abs(values[1:] - values[0]).sum(axis=3)]
    strengths = np.array([each.strength for each in found])
    areas = np.array([each.area for each in found])
    # What a crop cuts into is smaller than the others.
    clear = strengths > 0.5 * strengths.max()
    shown = clear & (areas > 0.9 * np.median(areas[clear]))
    edges = []
    for axis, size in ((0, images.width), (1, images.height)):
        seen, given = np.array([each.centre[axis] for each in found])[shown], centres[shown, axis] * size
        inner = (given > given.min()) & (given < given.max()) if len(set(given.tolist())) > 3 else np.isfinite(given)
        if len(set(given[inner].tolist())) < 2:
            raise CannotFollow("too little of the image comes to the first layer with weights to say where it was")
        step, start = np.polyfit(seen[inner], given[inner], 1)
        pixel = step / values.shape[2 - axis]
        if step <= 0 or np.abs(start + step * seen - given)[inner].max() > 1 + pixel:
            raise CannotFollow("the pixels that the first layer with weights reads are not in the order of the image's")
        edges.append((_settled(start, size, pixel, 0.1), _settled(start + step, size, pixel, 0.1)))
    (left, right), (top, bottom) = edges
    return left / images.width, top / images.height, right / images.width, bottom / images.height
