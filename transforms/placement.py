"""Where an image lies in the model input: the one place that knows stretch, crop and pad."""

import dataclasses
import math
from typing import Literal

import numpy as np

from transforms.records import Box

Resize = Literal["stretch", "crop", "pad"]

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
"""The box that covers the whole model input."""

_TINY = 1e-6  # pixels: 210 / 0.7 is 300, whatever floats say


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """The affine map ``input = original * scale + offset`` on each axis, in continuous pixel coordinates.

    Pixel (0, 0) covers the square from 0 to 1, so the map is the same for points and for box edges.
    """

    width: int  # original image after EXIF orientation, pixels
    height: int
    input_width: int  # model input, pixels
    input_height: int
    scale_x: float
    scale_y: float
    offset_x: float  # model input pixels; negative where the original is cropped
    offset_y: float
    cut_last: bool = False  # the whole image is resized and its centre taken; else what is shown is resized alone
    # What the grid of the map covers, in 0..1 of the model input: less than all where the model crops its input by
    # itself, more where it pads it.
    seen: Box = WHOLE
    # The part of this frame that is the model input, in 0..1: less than all only in the frame of a map.
    window: Box = WHOLE

    @property
    def content(self) -> Box:
        """The part of the model input that shows the image, as x0, y0, x1, y1 in 0..1; less than all with ``pad``."""
        placed = self.to_input(np.array([0, 0, self.width, self.height], np.float64))
        left, top, right, bottom = self.window
        x0, y0, x1, y1 = (float(edge) for edge in placed.clip([left, top, left, top], [right, bottom, right, bottom]))
        return x0, y0, x1, y1

    @property
    def map_frame(self) -> "Placement":
        """The placement of the image on the grid of the map, as if what the model sees were its whole input."""
        if self.seen == WHOLE:
            return self
        x0, y0, x1, y1 = self.seen
        across, down = (x1 - x0) * self.input_width, (y1 - y0) * self.input_height  # pixels, perhaps not whole ones
        width, height = max(1, round(across)), max(1, round(down))
        left, top, right, bottom = within(np.array(WHOLE), self.seen).clip(0.0, 1.0).tolist()
        return Placement(
            self.width,
            self.height,
            width,
            height,
            self.scale_x * (width / across),
            self.scale_y * (height / down),
            (self.offset_x - x0 * self.input_width) * (width / across),
            (self.offset_y - y0 * self.input_height) * (height / down),
            window=(left, top, right, bottom),
        )

    def to_input(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``[..., 4]`` in original pixels -> in 0..1 of the model input; not clipped, float64."""
        scale = np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y])
        offset = np.array([self.offset_x, self.offset_y, self.offset_x, self.offset_y])
        size = np.array([self.input_width, self.input_height, self.input_width, self.input_height])
        return (np.asarray(boxes, np.float64) * scale + offset) / size

    def to_original(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``[..., 4]`` in 0..1 of the model input -> original pixels, clipped to the image, float64."""
        scale = np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y])
        offset = np.array([self.offset_x, self.offset_y, self.offset_x, self.offset_y])
        size = np.array([self.input_width, self.input_height, self.input_width, self.input_height])
        limit = np.array([self.width, self.height, self.width, self.height])
        return np.clip((np.asarray(boxes, np.float64) * size - offset) / scale, 0, limit)


def within(boxes: np.ndarray, frame: Box) -> np.ndarray:
    """Boxes ``[..., 4]`` in 0..1 of the model input -> in 0..1 of ``frame``, a part of it; not clipped, float64."""
    x0, y0, x1, y1 = frame
    return (np.asarray(boxes, np.float64) - [x0, y0, x0, y0]) / [x1 - x0, y1 - y0, x1 - x0, y1 - y0]


def place(
    width: int,
    height: int,
    input_height: int,
    input_width: int,
    resize: Resize,
    crop_fraction: float = 1.0,
    seen: Box = WHOLE,
) -> Placement:
    """The placement of an image of ``width`` x ``height`` pixels in the model input.

    ``stretch`` fills the input and changes the aspect ratio; ``crop`` keeps the ratio and shows the largest central
    part that fills the input; ``pad`` keeps the ratio, shows everything and leaves bars (letterbox). Cropped and
    padded edges lie on whole pixels. ``seen`` is what the grid of the maps covers, in 0..1 of the model input.

    With a ``crop_fraction`` below 1, the image is first brought to a size and the centre of that is shown, as in
    "resize to 256, crop 224". The size is the input's divided by the fraction, rounded down (224 / 0.875 = 256): for
    ``stretch`` that very size, for ``crop`` the smallest that covers it and has the image's aspect ratio, the longer
    side rounded down. The centre begins at half of what is left over, rounded down. So the edges lie on whole pixels of
    the resized image, not of the original. ``pad`` shows everything: it takes no fraction.
    """
    if crop_fraction != 1:
        full_width, full_height = _resized(width, height, input_height, input_width, resize, crop_fraction)
        scale_x, scale_y = full_width / width, full_height / height
        offset_x, offset_y = -float((full_width - input_width) // 2), -float((full_height - input_height) // 2)
        return Placement(width, height, input_width, input_height, scale_x, scale_y, offset_x, offset_y, True, seen)
    if resize == "crop":
        shown_width = max(1, min(width, round(height * input_width / input_height)))
        shown_height = max(1, min(height, round(width * input_height / input_width)))
        scale_x, scale_y = input_width / shown_width, input_height / shown_height
        offset_x = -((width - shown_width) // 2) * scale_x
        offset_y = -((height - shown_height) // 2) * scale_y
    elif resize == "pad":
        scale = min(input_width / width, input_height / height)
        filled_width, filled_height = max(1, round(width * scale)), max(1, round(height * scale))
        scale_x, scale_y = filled_width / width, filled_height / height
        offset_x, offset_y = float((input_width - filled_width) // 2), float((input_height - filled_height) // 2)
    else:
        scale_x, scale_y, offset_x, offset_y = input_width / width, input_height / height, 0.0, 0.0
    return Placement(width, height, input_width, input_height, scale_x, scale_y, offset_x, offset_y, False, seen)


def _resized(
    width: int, height: int, input_height: int, input_width: int, resize: Resize, crop_fraction: float
) -> tuple[int, int]:
    """Width and height of the whole image, of which the centre becomes the model input."""
    if resize == "pad" or not 0 < crop_fraction < 1:
        raise ValueError(f"crop_fraction is {crop_fraction} with {resize}: say 0 to 1, with stretch or crop")
    box_width, box_height = (math.floor(side / crop_fraction + _TINY) for side in (input_width, input_height))
    if resize == "stretch":
        return box_width, box_height
    if width * box_height <= height * box_width:  # the width decides
        return box_width, max(box_height, height * box_width // width)
    return max(box_width, width * box_height // height), box_height
