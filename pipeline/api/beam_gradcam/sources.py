"""What may be explained: paths, URIs, encoded bytes, pixels, and what is known about an image."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from transforms.errors import UserError
from transforms.records import Box, ImageRef, image_id_of
from transforms.storage import uris

Content: TypeAlias = "str | os.PathLike[str] | bytes | np.ndarray"


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """An image together with what a manifest would say about it.

    >>> Image("cat.jpg", label="tabby", boxes=[(10, 20, 110, 90)]).label
    'tabby'
    """

    content: Content  # a path or URI, the bytes of an image file, or RGB pixels: uint8 [H, W, 3], of any size
    label: str | int | float | Sequence[str | int | float] | None = (
        None  # the true class, its index or name; or several
    )
    targets: Sequence[str | int] | None = None  # classes to explain in place of the usual ones
    boxes: Sequence[Box] | None = None  # ground truth: x0, y0, x1, y1 in pixels of the upright image


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """An image that is ready to be loaded."""

    ref: ImageRef
    content: bytes | np.ndarray | None  # None: it is fetched from the reference's URI

    @property
    def origin(self) -> str | bytes | np.ndarray:
        return self.ref.uri if self.content is None else self.content


def source_of(image: Any) -> Source:
    """Raises UserError where it is nothing that could be explained."""
    given = image if isinstance(image, Image) else Image(image)
    uri, content = _located(given.content)
    label, labels = _labels(given.label)
    ref = ImageRef(
        uri=uri,
        image_id=image_id_of(uri),
        label=label,
        labels=labels,
        targets=None if given.targets is None else tuple(str(target) for target in given.targets),
        boxes=None if given.boxes is None else tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in given.boxes),
    )
    return Source(ref, content)


def _labels(label: Any) -> tuple[str | None, tuple[str, ...] | None]:
    """As a manifest's line is read: one label, and all where they are several."""
    if label is None or isinstance(label, str | int | float):
        return None if label is None else str(label), None
    labels = tuple(str(one) for one in label)
    return ";".join(labels) or None, labels


def _located(content: Any) -> tuple[str, bytes | np.ndarray | None]:
    """The URI, made of a digest where the image is here already, and the content then."""
    if isinstance(content, str | os.PathLike):
        return uris.absolute(os.fspath(content)), None
    if isinstance(content, bytes | bytearray | memoryview):
        encoded = bytes(content)
        return f"bytes:{hashlib.sha256(encoded).hexdigest()}", encoded
    if isinstance(content, np.ndarray):
        if content.dtype != np.uint8 or content.ndim != 3 or content.shape[2] != 3 or not content.size:
            raise UserError(
                f"an array of {content.dtype} {list(content.shape)} is no image: give RGB pixels as uint8 [H, W, 3], "
                "0..255, before any preprocessing"
            )
        pixels = np.ascontiguousarray(content)
        digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        return f"pixels:{digest}", pixels
    raise UserError(
        f"{type(content).__name__} is no image: give a path or URI, the bytes of an image file, RGB pixels (uint8 "
        "[H, W, 3]), or one of these in beam_gradcam.Image"
    )
