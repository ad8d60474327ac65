"""Map and pixels -> overlay: the heatmap blended over the photo that it explains. Pure functions."""

import functools

import cv2
import numpy as np
import simplejpeg
from scipy import sparse

from transforms.overlays.settings import ImageFormat
from transforms.placement import Placement

BADGE = "no positive evidence"


_FONT = cv2.FONT_HERSHEY_SIMPLEX


_SMALLEST_FONT = 0.4  # text of about 10 pixels


_LARGEST_FONT = 2.0


_BADGE_TEXT = (255, 255, 255)


_BADGE_GROUND = (60, 60, 60)


def colormaps() -> tuple[str, ...]:
    """The names of all colour maps, those of OpenCV: jet, turbo, viridis, inferno, magma ..."""
    prefix = "COLORMAP_"
    return tuple(sorted(name.removeprefix(prefix).lower() for name in dir(cv2) if name.startswith(prefix)))


def render_overlay(
    pixels: np.ndarray, cam: np.ndarray, placement: Placement, opacity: float, colormap: str
) -> np.ndarray:
    """The heatmap of ``cam`` over the photo, where the model saw it.

    The heatmap is ``max(S, 0) / max S``, upsampled bilinearly to the photo through the inverse of the resize. What a
    crop, ours or the model's own, hid from the model stays plain, what was padding is dropped. A map without a
    positive cell gives the plain photo with a badge that says so; on a photo too small for the badge, it stands on a
    strip below and the overlay is larger than the photo.

    Args:
        pixels: uint8 RGB ``[H, W, 3]``, the original or a shrunk copy of it.
        cam: float32 ``[h, w]``, the signed map ``S``, finite.
        placement: of the original in the model input.
        opacity: of the heatmap, 0..1.
        colormap: one of ``colormaps()``.

    Returns:
        uint8 RGB ``[H, W, 3]``; ``pixels`` is not changed.

    Raises:
        ValueError: the colour map is unknown.
    """
    words = _color_words(colormap)
    if float(cam.max()) <= 0:
        return _with_badge(pixels)
    rows, columns, heatmap = heatmap_over(cam, placement, *pixels.shape[:2])
    seen = pixels[rows, columns]
    if not seen.size:
        return pixels.copy()
    blended = cv2.addWeighted(seen, 1 - opacity, _colors(heatmap, words), opacity, 0)
    if blended.shape == pixels.shape:
        return blended
    overlay = pixels.copy()
    overlay[rows, columns] = blended
    return overlay


def heatmap_over(cam: np.ndarray, placement: Placement, height: int, width: int) -> tuple[slice, slice, np.ndarray]:
    """``max(S, 0) / max S`` upsampled bilinearly over a photo of ``height x width`` pixels, where the model saw it.

    Args:
        cam: float32 ``[h, w]``, the signed map ``S``, with a positive cell.
        placement: of the photo in the model input.

    Returns:
        Which rows and columns of the photo the model saw, and their heatmap, float32 ``[rows, columns]``, 0..1.
    """
    relative = (np.maximum(cam, 0).astype(np.float64) / float(cam.max())).astype(np.float32)
    frame = placement.map_frame
    x0, y0, x1, y1 = frame.to_input(np.array([0, 0, frame.width, frame.height]))
    left, top, right, bottom = frame.window
    rows, row_weights = _seen(height, y0, y1, cam.shape[0], top, bottom)
    columns, column_weights = _seen(width, x0, x1, cam.shape[1], left, right)
    return rows, columns, row_weights @ np.ascontiguousarray((column_weights @ relative.T).T)


def encode(pixels: np.ndarray, image_format: ImageFormat, quality: int) -> bytes:
    """Encode uint8 RGB ``[H, W, 3]`` as JPEG of ``quality`` 1..100, or as PNG, which has no quality.

    Raises:
        ValueError: the format is neither, or the picture has a side beyond JPEG's 65,535 pixels.
    """
    pixels = np.ascontiguousarray(pixels)
    if image_format == "jpg":
        return simplejpeg.encode_jpeg(pixels, quality, "RGB", "420")
    if image_format == "png":
        return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    raise ValueError(f"unknown overlay format {image_format!r}; use jpg or png")


@functools.cache
def color_table(colormap: str) -> np.ndarray:
    """uint8 RGB ``[256, 1, 3]``."""
    if colormap not in colormaps():
        raise ValueError(f"unknown colour map {colormap!r}; use one of {', '.join(colormaps())}")
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1)
    bgr = cv2.applyColorMap(levels, getattr(cv2, f"COLORMAP_{colormap.upper()}"))
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


@functools.cache
def _color_words(colormap: str) -> np.ndarray:
    """The same table, int32 ``[1, 256]``: the bytes of a word are red, green, blue and nothing."""
    colors = np.zeros((1, 256, 4), np.uint8)
    colors[..., :3] = color_table(colormap).reshape(1, 256, 3)
    return colors.view(np.int32)[..., 0]


def _colors(heatmap: np.ndarray, words: np.ndarray) -> np.ndarray:
    """``cv2.applyColorMap`` of float32 ``[h, w]``, 0..1: uint8 RGB ``[h, w, 3]``, a quarter sooner by whole words."""
    found = cv2.LUT(cv2.convertScaleAbs(heatmap, alpha=255), words)
    return cv2.cvtColor(found.view(np.uint8).reshape(*heatmap.shape, 4), cv2.COLOR_RGBA2RGB)


@functools.lru_cache(maxsize=1024)
def _seen(
    pixels: int, start: float, end: float, cells: int, first: float, last: float
) -> tuple[slice, sparse.csr_array]:
    """On one axis: which pixels of the photo the model saw, and the weights of the cells in each of them.

    The photo reaches from ``start`` to ``end`` in 0..1 of the map, beyond it where it was cropped; the model saw none
    of it before ``first`` and after ``last``. The weights, float32 ``[seen, cells]`` with at most two in a row, are
    those of bilinear interpolation between the cell centres; the outermost are held.
    """
    positions = start + (np.arange(pixels) + 0.5) / pixels * (end - start)
    inside = np.flatnonzero((positions >= first) & (positions <= last))
    seen = slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
    cell = np.clip(positions[seen] * cells - 0.5, 0, cells - 1)
    weights = np.maximum(0.0, 1.0 - np.abs(cell[:, None] - np.arange(cells)))
    return seen, sparse.csr_array(weights.astype(np.float32))


def _with_badge(photo: np.ndarray) -> np.ndarray:
    """The photo with the badge in its upper left corner, or on a strip below where it would hide half of the photo."""
    height, width = photo.shape[:2]
    badge = _badge(min(height, width))
    badge_height, badge_width = badge.shape[:2]
    if 2 * badge_height <= height and badge_width <= width:
        overlay = photo.copy()
        overlay[:badge_height, :badge_width] = badge
        return overlay
    overlay = np.full((height + badge_height, max(width, badge_width), 3), _BADGE_GROUND, np.uint8)
    overlay[:height, :width] = photo
    overlay[height:, :badge_width] = badge
    return overlay


def _badge(side: int) -> np.ndarray:
    """The badge for a photo whose shorter side has ``side`` pixels: text of a twentieth of it, but readable."""
    scale = min(max(side / 500, _SMALLEST_FONT), _LARGEST_FONT)
    thickness = max(1, round(1.5 * scale))
    (text_width, text_height), baseline = cv2.getTextSize(BADGE, _FONT, scale, thickness)
    margin = baseline + 1
    badge = np.full((text_height + 2 * margin, text_width + 2 * margin, 3), _BADGE_GROUND, np.uint8)
    cv2.putText(badge, BADGE, (margin, margin + text_height), _FONT, scale, _BADGE_TEXT, thickness, cv2.LINE_AA)
    return badge
