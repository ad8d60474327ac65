"""Hugging Face's ``metadata.jsonl``, ``.csv`` and ``.parquet`` beside images: other names for what we have too."""

from typing import Any

from transforms.manifest.manifest import Manifest
from transforms.storage import uris

FILE_NAME = "file_name"
"""The column of URIs, relative to the folder of the file."""

_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_OBJECTS = "objects"


def is_hugging_face(manifest: Manifest) -> bool:
    return uris.split(manifest.uri)[1].rpartition("/")[2].removesuffix(".gz") in _NAMES


def with_boxes(line: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """The line with boxes where it has ``objects: {bbox: [[x, y, width, height]]}`` and no boxes of its own."""
    objects = line.get(_OBJECTS)
    column = manifest.boxes_column
    if column is None or column in line or not isinstance(objects, dict) or not isinstance(objects.get("bbox"), list):
        return line
    return line | {column: [_corners(box) for box in objects["bbox"]]}


def _corners(box: Any) -> Any:
    if isinstance(box, list) and len(box) == 4 and all(isinstance(number, int | float) for number in box):
        x, y, width, height = box
        return {"x0": x, "y0": y, "x1": x + width, "y1": y + height}
    return box
