"""What the photo itself looks like, so that a changed camera can be told from a changed model."""

from collections.abc import Sequence

import cv2
import numpy as np

from transforms.placement import Placement


def image_covariates(
    inputs: Sequence[np.ndarray] | np.ndarray, placements: Sequence[Placement] | None = None
) -> dict[str, np.ndarray]:
    """Brightness, contrast, sharpness and saturation of model inputs.

    Taken from the model input rather than from the file: sharpness depends on the scale, so only pictures of one size
    can be compared, and a reduced-scale decode must not change the numbers. Letterbox bars are left out.

    Args:
        inputs: RGB uint8, N of ``[H, W, 3]``.
        placements: How each image lies in its input; None: all fill it.

    Returns:
        float64 ``[N]`` each. ``brightness`` and ``contrast``: mean and standard deviation of luma (BT.601), 0..1.
        ``sharpness``: variance of the Laplacian (4 neighbours, mirrored edges) of that luma; times 65025 it is
        ``cv2.Laplacian(gray, CV_64F).var()``. ``saturation``: mean HSV saturation, 0..1.
    """
    values = np.empty((4, len(inputs)), np.float64)
    for index, pixels in enumerate(inputs):
        if placements is not None:
            pixels = _content(pixels, placements[index])
        luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        mean, deviation = cv2.meanStdDev(luma)
        _, edges = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
        red, green, blue = cv2.split(pixels)
        highest, lowest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
        # Twice as fast as the conversion to HSV; OpenCV divides by zero to zero, as HSV has it for black.
        saturation = cv2.mean(cv2.divide(cv2.subtract(highest, lowest), highest, scale=255))[0]
        values[:, index] = mean[0, 0] / 255, deviation[0, 0] / 255, (edges[0, 0] / 255) ** 2, saturation / 255
    return dict(zip(("brightness", "contrast", "sharpness", "saturation"), values, strict=True))


def _content(pixels: np.ndarray, placement: Placement) -> np.ndarray:
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = placement.content
    return pixels[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)]
