"""Photos as the model gets them, made the obvious way."""

from pathlib import Path

import cv2
import numpy as np

from transforms.images.decode import decode_image
from transforms.images.resize import resize_image
from transforms.placement import place


def model_input(uri: str, side: int) -> np.ndarray:
    """The photo as the model gets it; at most one level from OpenCV's area average."""
    decoded = decode_image(Path(uri).read_bytes(), need=(side, side))
    resized = resize_image(decoded, place(decoded.width, decoded.height, side, side, "stretch"))
    plain = cv2.resize(decoded.pixels, (side, side), interpolation=cv2.INTER_AREA)
    assert abs(resized.astype(int) - plain).max() <= 1
    return resized
