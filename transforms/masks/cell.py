"""A cell of the column ``input.columns.masks`` -> a mask."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from transforms.images import Limits
from transforms.masks.png import decode_png
from transforms.masks.rle import decode_rle
from transforms.masks.written import is_mask_uri
from transforms.statistics import TrueMask

_MOST_OBJECTS = 1000


@dataclasses.dataclass(frozen=True)
class MaskCell:
    """What a cell says: the URI of a PNG, or run lengths."""

    uri: str | None
    objects: tuple[Any, ...] = ()  # COCO's, one for each


def parse_mask(text: str | None) -> MaskCell | None:
    """A URI, a run-length mask as JSON, or a list of them, one for each object; None where the cell is empty.

    Raises:
        ValueError: it is none of these.
    """
    if text is None or not text.strip():
        return None
    if is_mask_uri(text):
        return MaskCell(text)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it begins like JSON and is none: {error}") from None
    objects = found if isinstance(found, list) else [found]
    if len(objects) > _MOST_OBJECTS:
        raise ValueError(f"{len(objects)} objects; at most {_MOST_OBJECTS} are possible for an image")
    return MaskCell(None, tuple(objects))


def mask_of(cell: MaskCell, size: tuple[int, int], limits: Limits, read: Callable[[str], bytes]) -> TrueMask:
    """The mask of an image of ``size`` (height, width) after orientation.

    Args:
        read: URI -> the bytes of the PNG.

    Raises:
        ValueError: it is no mask, or has another size than the image.
        ImageFailure: from ``read``, and for a PNG that cannot be decoded.
    """
    if cell.uri is None:
        masks = [decode_rle(encoded, limits.max_pixels) for encoded in cell.objects]
        for mask in masks:
            _check_size(mask.shape, size)
        return TrueMask.of_objects(np.stack(masks)) if masks else TrueMask.of_objects(np.zeros((1, *size), bool))
    values, objects = decode_png(read(cell.uri), limits)
    _check_size(values.shape, size)
    if len(objects) > _MOST_OBJECTS:
        raise ValueError(f"{len(objects)} objects; at most {_MOST_OBJECTS} are possible for an image")
    if len(objects) <= 1:
        return TrueMask.of_parts(np.isin(values, objects))
    boxes = [TrueMask.of_objects((values == value)[None]).boxes for value in objects.tolist()]
    return TrueMask(np.isin(values, objects), np.concatenate(boxes))


def _check_size(found: tuple[int, ...], wanted: tuple[int, int]) -> None:
    if tuple(found) != wanted:
        raise ValueError(
            f"the mask has {found[0]} x {found[1]} pixels, the image {wanted[0]} x {wanted[1]} after its EXIF "
            "orientation; they must be the same"
        )
