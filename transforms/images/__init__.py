"""Encoded bytes -> upright RGB pixels -> the model's input."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.images.decode import decode_image
    from transforms.images.decoded import DecodedImage, Limits
    from transforms.images.deep import narrowed, widened
    from transforms.images.indexed import decode_values
    from transforms.images.memory import most_bytes_of
    from transforms.images.resize import resize_image, shrink
    from transforms.images.sniff import image_format

__all__ = [
    "DecodedImage",
    "Limits",
    "decode_image",
    "decode_values",
    "image_format",
    "most_bytes_of",
    "narrowed",
    "resize_image",
    "shrink",
    "widened",
]
__getattr__ = lazy_face(__name__, __file__)
