"""Averages over areas: a picture made smaller, each new pixel the mean of what it covers."""

import cv2
import numpy as np

from transforms.images.decoded import DecodedImage
from transforms.images.deep import narrowed, widened
from transforms.images.kernels import Side, kernel_weights
from transforms.images.resample import resample
from transforms.placement import Placement
from transforms.sampling import Sampling

_LARGEST = 1 << 24  # samples; beyond, four bytes for each would be too much for a thread


def shrink_area(source: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Shrink uint8 or uint16 ``[H, W, 3]`` into ``out`` ``[h, w, 3]``, ``h <= H`` and ``w <= W``: OpenCV's INTER_AREA.

    The same sums as there, rows first and then columns, but as products with sparse matrices, which take whole rows at
    a time: half the time, and resizing is what costs most beside decoding.
    """
    (source_height, source_width), (height, width) = source.shape[:2], out.shape[:2]
    if (
        source.dtype != np.uint8
        or source.size > _LARGEST
        or (source_height % height == 0 and source_width % width == 0)
    ):
        return cv2.resize(source, (width, height), dst=out, interpolation=cv2.INTER_AREA)
    samples = np.empty((source_height, source_width * 3), np.float32)
    np.copyto(samples.reshape(source.shape), source)
    weights = kernel_weights(Side(source_height, height, 0, height), "area", False)
    rows = (weights.matrix @ samples).reshape(height, source_width, 3)
    weights = kernel_weights(Side(source_width, width, 0, width), "area", False)
    columns = weights.matrix @ cv2.transpose(rows).reshape(source_width, height * 3)
    return cv2.transpose(cv2.convertScaleAbs(columns.reshape(width, height, 3)), dst=out)  # of bytes, not of floats


def resize_image(decoded: DecodedImage, placement: Placement, sampling: Sampling = Sampling()) -> np.ndarray:
    """The model input: ``[H, W, 3]`` of the placement's input size, uint8 or uint16 as the image is.

    Args:
        placement: of the image.
        sampling: the filter, and the colour of letterbox bars: black by default, as in ``tf.image.resize_with_pad`` and
            ``pad_to_aspect_ratio`` of Keras.
    """
    height, width = placement.input_height, placement.input_width
    if placement.cut_last:  # what is cut off is never made: of a strip it could be gigabytes
        everything = _region(decoded, np.array([0, 0, decoded.width, decoded.height]))
        full = (round(decoded.height * placement.scale_y), round(decoded.width * placement.scale_x))
        top, left = round(-placement.offset_y), round(-placement.offset_x)
        rows = Side(everything.shape[0], full[0], top, top + height)
        return resample(everything, rows, Side(everything.shape[1], full[1], left, left + width), sampling)
    out = np.empty((height, width, 3), decoded.pixels.dtype)
    shown = _region(decoded, placement.to_original(np.array([0.0, 0.0, 1.0, 1.0])))
    x0, y0, x1, y1 = placement.content
    left, right = round(x0 * width), round(x1 * width)
    top, bottom = round(y0 * height), round(y1 * height)
    if (bottom - top, right - left) != (height, width):
        out[:] = sampling.pad_color if out.dtype == np.uint8 else widened(np.array(sampling.pad_color))
    _fill(shown, out[top:bottom, left:right], sampling)
    return out


def _fill(source: np.ndarray, out: np.ndarray, sampling: Sampling) -> None:
    if sampling.interpolation == "area" or source.shape == out.shape:
        _resample(source, out)
        return
    rows, columns = (Side(of, to, 0, to) for of, to in zip(source.shape[:2], out.shape[:2], strict=True))
    out[:] = resample(source, rows, columns, sampling)


def shrink(decoded: DecodedImage, max_side: int) -> np.ndarray:
    """The picture under the overlay: uint8 ``[h, w, 3]``, its longest side at most ``max_side``; never enlarged."""
    longest = max(decoded.width, decoded.height)
    scale = min(1.0, max_side / longest)
    size = (max(1, round(decoded.height * scale)), max(1, round(decoded.width * scale)))
    if decoded.pixels.shape[:2] == size:
        return narrowed(decoded.pixels)
    everything = _region(decoded, np.array([0, 0, decoded.width, decoded.height]))
    if max(everything.shape[0] / size[0], everything.shape[1] / size[1]) <= 2:
        # Where the decoder has done the most of it, two pixels cover what one of the new ones stands for: nothing is
        # left out, in a sixth of the time. The model input is not taken from this.
        return narrowed(cv2.resize(everything, size[::-1], interpolation=cv2.INTER_LINEAR))
    return narrowed(_resample(everything, np.empty((*size, 3), everything.dtype)))


def _region(decoded: DecodedImage, box: np.ndarray) -> np.ndarray:
    """The decoded pixels of ``box``: x0, y0, x1, y1 in original pixels."""
    x0, y0, x1, y1 = (float(edge) for edge in box / decoded.reduction)
    left, top = round(x0), round(y0)
    width, height = max(1, round(x1 - x0)), max(1, round(y1 - y0))
    if max(abs(x0 - left), abs(x1 - left - width), abs(y0 - top), abs(y1 - top - height)) < 1e-6:
        return decoded.pixels[top : top + height, left : left + width]
    # Only at a reduced scale do edges fall between pixels. Half a pixel there would be seen in the model input.
    scale_x, scale_y = (x1 - x0) / width, (y1 - y0) / height
    to_decoded = np.array([[scale_x, 0, x0 + (scale_x - 1) / 2], [0, scale_y, y0 + (scale_y - 1) / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(decoded.pixels, to_decoded, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _resample(source: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Resize ``source`` into ``out``; averages over the area on the sides that shrink, linear on those that grow."""
    (source_height, source_width), (height, width) = source.shape[:2], out.shape[:2]
    if (source_height, source_width) == (height, width):
        out[:] = source
        return out
    if source_height >= height and source_width >= width:
        return shrink_area(source, out)
    # Averages need both sides to shrink.
    smaller = (min(width, source_width), min(height, source_height))
    if smaller != (source_width, source_height):
        source = shrink_area(source, np.empty((smaller[1], smaller[0], 3), source.dtype))
    return cv2.resize(source, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
