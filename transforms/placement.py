"""Where an image lies in the model input: the one place that knows stretch, crop and pad."""

import dataclasses
from typing import Literal

import numpy as np

from transforms.records import Box

Resize = Literal["stretch", "crop", "pad"]


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


def place(width: int, height: int, input_height: int, input_width: int, resize: Resize) -> Placement:
    """The placement of an image of ``width`` x ``height`` pixels in the model input.

    ``stretch`` fills the input and changes the aspect ratio; ``crop`` keeps the ratio and shows the largest central
    part that fills the input; ``pad`` keeps the ratio, shows everything and leaves bars (letterbox). Cropped and
    padded edges lie on whole pixels.
    """
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
