"""Which way up a picture is: the EXIF orientation, 1..8, read without trusting the metadata that holds it."""

import cv2
import numpy as np
from PIL import Image, ImageFile

from transforms.images.tiff_directory import DirectoryError, check_directory

_ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"
_RAW_PROFILE = "Raw profile type exif"  # where old programs put EXIF into a PNG: hexadecimal text after three lines


def exif_orientation(exif: bytes) -> int:
    """The orientation that EXIF bytes name; 1 where they are broken: metadata must not cost the picture."""
    if not _is_sound(exif):
        return 1
    read = Image.Exif()
    try:
        read.load(exif)
        value = read.get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - metadata of strangers
        return 1
    return value if value in range(1, 9) else 1


def image_orientation(image: ImageFile.ImageFile) -> int:
    """The orientation of a loaded image that Pillow has opened; from XMP where its EXIF has none.

    Raises:
        Exception: whatever Pillow raises for damaged metadata.
    """
    exif = image.info.get("exif")
    if exif is None and _RAW_PROFILE in image.info:
        exif = bytes.fromhex("".join(image.info[_RAW_PROFILE].split("\n")[3:]))
    if exif is not None and not _is_sound(exif):
        return 1
    value = image.getexif().get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an orientation, 1..8."""
    if orientation == 2:
        return cv2.flip(pixels, 1)
    if orientation == 3:
        return cv2.rotate(pixels, cv2.ROTATE_180)
    if orientation == 4:
        return cv2.flip(pixels, 0)
    if orientation == 5:
        return cv2.transpose(pixels)
    if orientation == 6:
        return cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
    if orientation == 7:
        return cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
    if orientation == 8:
        return cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return pixels


def _is_sound(exif: bytes) -> bool:
    while exif.startswith(_EXIF):
        exif = exif[len(_EXIF) :]
    try:
        check_directory(exif)
    except DirectoryError:
        return False
    return True
