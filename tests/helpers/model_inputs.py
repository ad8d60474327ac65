"""Photos as the model gets them, made the obvious way."""

from pathlib import Path

import cv2
import numpy as np

from transforms.images.decode import decode_image
from transforms.images.resize import resize_image
from transforms.model.preprocessing import Preprocessing
from transforms.placement import place


def model_input(uri: str, side: int) -> np.ndarray:
    """The photo as the model gets it; at most one level from OpenCV's area average."""
    decoded = decode_image(Path(uri).read_bytes(), need=(side, side))
    resized = resize_image(decoded, place(decoded.width, decoded.height, side, side, "stretch"))
    plain = cv2.resize(decoded.pixels, (side, side), interpolation=cv2.INTER_AREA)
    assert abs(resized.astype(int) - plain).max() <= 1
    return resized


def preprocessed(images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """RGB ``images`` ``[..., 3]`` of range 0..255 -> float32 of the same shape, as the model takes them."""
    pixels = images[..., ::-1] if preprocessing.bgr else images
    scale, offset = (np.array(values, np.float32) for values in (preprocessing.scale, preprocessing.offset))
    return pixels.astype(np.float32) * scale + offset
