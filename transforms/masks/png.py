"""PNG masks: black and white, or one value for each object."""

import numpy as np

from transforms.images import Limits, decode_values

_VOID = 255  # of several values: the border around objects, which is neither, in Pascal VOC


def decode_png(encoded: bytes, limits: Limits) -> tuple[np.ndarray, np.ndarray]:
    """The values of a mask, int32 ``[height, width]``, and those that are objects.

    0 is the background. One other value is the object; of several, each is an object of its own and 255 is none.

    Raises:
        ImageFailure: as :func:`transforms.images.decode_values`.
    """
    values = decode_values(encoded, limits)
    objects = np.unique(values)
    objects = objects[objects != 0]
    return values, objects[objects != _VOID] if len(objects) > 1 else objects
