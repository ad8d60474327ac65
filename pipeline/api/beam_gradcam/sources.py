"""What may be explained: paths, URIs, encoded bytes, pixels, and what is known about an image."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from transforms.errors import UserError
from transforms.model import ExtraInput
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
    # The true class, its index or name; or several.
    label: str | int | float | Sequence[str | int | float] | None = None
    expected: str | int | float | None = None  # your own model's prediction: a class, or a probability; for a check
    targets: Sequence[str | int] | None = None  # classes to explain in place of the usual ones
    boxes: Sequence[Box] | None = None  # ground truth: x0, y0, x1, y1 in pixels of the upright image
    # Of a model that has inputs beside the image: a number, or numbers, for each, by its name.
    inputs: Mapping[str, float | Sequence[float]] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """An image that is ready to be loaded."""

    ref: ImageRef
    content: bytes | np.ndarray | None  # None: it is fetched from the reference's URI

    @property
    def origin(self) -> str | bytes | np.ndarray:
        return self.ref.uri if self.content is None else self.content


def source_of(image: Any, inputs: Sequence[ExtraInput] = ()) -> Source:
    """An image to be loaded.

    Args:
        inputs: those of the model beside the image; their columns are what the reference carries along.

    Raises:
        UserError: it is nothing that could be explained, or names inputs that the model does not have.
    """
    given = image if isinstance(image, Image) else Image(image)
    uri, content = _located(given.content)
    label, labels = _labels(given.label)
    ref = ImageRef(
        uri=uri,
        image_id=image_id_of(uri),
        label=label,
        labels=labels,
        expected=None if given.expected is None else str(given.expected),
        extra=_cells(given.inputs or {}, inputs),
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


def _cells(given: Mapping[str, Any], inputs: Sequence[ExtraInput]) -> tuple[str | None, ...]:
    """As a manifest would have them: a cell for each column of each input."""
    if unknown := sorted(set(given) - {one.name for one in inputs}):
        raise UserError(
            f"the model has no input {', '.join(unknown)} that is open; it has "
            f"{', '.join(one.name for one in inputs) or 'the image alone'}"
        )
    cells: list[str | None] = []
    for one in inputs:
        value = np.asarray(given[one.name]).tolist() if one.name in given else None
        if len(one.columns) == 1 or not isinstance(value, list):
            cells += [None if value is None else json.dumps(value)] * len(one.columns)
        elif len(value) == len(one.columns):
            cells += [json.dumps(number) for number in value]
        else:
            raise UserError(f"the model's input {one.name} takes {len(one.columns)} numbers, {len(value)} are given")
    return tuple(cells)


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
