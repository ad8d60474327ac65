"""PNG files whose numbers are not colours: masks."""

import numpy as np

from transforms.images import pillow as rasters
from transforms.images import sniff
from transforms.images.containers import checked_container
from transforms.images.decoded import Limits
from transforms.images.memory import check_opened
from transforms.records import ImageFailure, Stage, Status

_MODES = ("1", "L", "P", "I;16")


def decode_values(encoded: bytes, limits: Limits) -> np.ndarray:
    """The numbers of a PNG of one channel as they are stored, int32 ``[height, width]``; of a palette, its indices.

    Raises:
        ImageFailure: TOO_LARGE, DECODE_ERROR for damaged data and what is no image, UNSUPPORTED for other formats.
    """
    kind = sniff.image_format(encoded)
    if kind != "PNG":
        raise _unsupported(f"{kind}: write the mask as PNG")
    try:
        encoded = checked_container(encoded, kind)
        image = rasters.open_header(encoded, kind)
        check_opened(image, kind, encoded, limits)
        if image.mode not in _MODES:
            raise _unsupported(
                f"the channels {image.mode}: write a PNG of one channel, black and white, grey, or a palette whose "
                "numbers are the objects"
            )
        rasters.check_png(encoded)
        image.load()
        return np.array(image).astype(np.int32)
    except ImageFailure:
        raise
    except MemoryError as error:
        raise ImageFailure(Status.TOO_LARGE, Stage.DECODE, "not enough memory to decode it") from error
    except Exception as error:  # decoders fed with hostile bytes raise anything; every cause becomes one row
        why = f"damaged PNG: {error or type(error).__name__}"
        raise ImageFailure(Status.DECODE_ERROR, Stage.DECODE, why, type(error).__name__) from error


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(Status.UNSUPPORTED, Stage.DECODE, f"a mask cannot be {what}", "UnsupportedFormat")
