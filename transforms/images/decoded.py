"""A decoded picture, and what one may cost."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one image may cost."""

    max_bytes: int = 2**28  # encoded; checked while it is fetched
    # Declared width x height; checked before it is decoded. A 12,000 x 9,000 panorama passes. Decoding takes
    # nine bytes for each at most, 1.2 GB in all, beside the encoded file; see transforms.images.memory.
    max_pixels: int = 2**27


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class DecodedImage:
    """An upright picture, perhaps at a reduced scale, and the size that it has in full."""

    pixels: (
        np.ndarray
    )  # uint8, or uint16 where 16 bits are asked for, [ceil(height / reduction), ceil(width / reduction), 3] RGB
    width: int  # of the original after EXIF orientation, pixels
    height: int
    reduction: int = 1  # original pixels per decoded pixel, each way; the last column and row may cover fewer
