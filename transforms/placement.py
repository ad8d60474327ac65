"""Where an image lies in the model input: the one place that knows stretch, crop and pad."""

import dataclasses
import math
from typing import Literal

import numpy as np

from transforms.records import Box

Resize = Literal["stretch", "crop", "pad"]

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

    @property
    def content(self) -> Box:
        """The part of the model input that shows the image, as x0, y0, x1, y1 in 0..1; less than all with ``pad``."""
        x0, y0, x1, y1 = self.to_input(np.array([0, 0, self.width, self.height], np.float64))
        return max(float(x0), 0.0), max(float(y0), 0.0), min(float(x1), 1.0), min(float(y1), 1.0)

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


def place(
    width: int, height: int, input_height: int, input_width: int, resize: Resize, crop_fraction: float = 1.0
) -> Placement:
    """The placement of an image of ``width`` x ``height`` pixels in the model input.

    ``stretch`` fills the input and changes the aspect ratio; ``crop`` keeps the ratio and shows the largest central
    part that fills the input; ``pad`` keeps the ratio, shows everything and leaves bars (letterbox). Cropped and
    padded edges lie on whole pixels.

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
        return Placement(width, height, input_width, input_height, scale_x, scale_y, offset_x, offset_y, cut_last=True)
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
    return Placement(width, height, input_width, input_height, scale_x, scale_y, offset_x, offset_y)


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
