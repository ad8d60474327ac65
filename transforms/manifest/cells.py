"""The cells of a manifest's line: target classes, boxes, and text."""

import json
import math
from typing import Any

from transforms.records import Box

Labels = tuple[str, ...]
"""All true classes of an image, or its values; as the manifest has them."""

_MOST_BOXES = 1000  # the exact area of their union takes memory with the square of their number
_MOST_TARGETS = 1000  # each has a map and a row


def parse_json(text: str) -> Any:
    """Raises ValueError for what is no JSON, and for brackets so deep that the parser gives up."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_targets(cell: Any) -> tuple[str, ...] | None:
    """``281;tabby``, a JSON list, or a list cell; None where the cell is empty."""
    if isinstance(cell, str):
        text = cell.strip()
        cell = parse_json(text) if text.startswith("[") else [part for part in text.split(";") if part.strip()]
    if cell is None or cell == []:
        return None
    targets = cell if isinstance(cell, list) else [cell]
    if len(targets) > _MOST_TARGETS:
        raise ValueError(f"{len(targets)} target classes; at most {_MOST_TARGETS} are possible for an image")
    return tuple(class_text(target) for target in targets)


def parse_labels(cell: Any) -> Labels | None:
    """The true classes of an image whose cell tells several, or none: ``cat;grass``, a JSON list, a list cell.

    None where the cell is empty or tells one. A name with a semicolon is read as several: who looks for the class must
    try the whole of it first.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if text.startswith("["):
            cell = _list_in(text)
        else:
            cell = [part for part in text.split(";") if part.strip()] if ";" in text else None
    if not isinstance(cell, list):
        return None
    if len(cell) > _MOST_TARGETS:
        raise ValueError(f"{len(cell)} labels; at most {_MOST_TARGETS} are possible for an image")
    return (
        tuple(dict.fromkeys(class_text(label) for label in cell)) if _are_names(cell) else tuple(map(class_text, cell))
    )


def _list_in(text: str) -> Any:
    """A JSON list; None where it only looks like one, as the name "[unknown]" does."""
    try:
        return parse_json(text)
    except ValueError:
        return None


def _are_names(cell: list[Any]) -> bool:
    """Classes, of which each counts once; numbers may be values, whose places count."""
    return all(isinstance(label, str) for label in cell)


def parse_boxes(cell: Any) -> tuple[Box, ...] | None:
    """A list of ``{x0, y0, x1, y1}`` or ``[x0, y0, x1, y1]``, as JSON text or as a list cell; None where empty."""
    if isinstance(cell, str):
        cell = parse_json(cell) if cell.strip() else None
    if cell is None:
        return None
    if not isinstance(cell, list):
        cell = [cell]
    if cell and all(isinstance(number, int | float) for number in cell):
        cell = [cell]  # one box without the outer list
    if len(cell) > _MOST_BOXES:
        raise ValueError(f"{len(cell)} boxes; at most {_MOST_BOXES} are possible for an image")
    return tuple(_parse_box(box) for box in cell)


def _parse_box(box: Any) -> Box:
    try:
        corners = [box[key] for key in ("x0", "y0", "x1", "y1")] if isinstance(box, dict) else list(box)
        x0, y0, x1, y1 = (float(corner) for corner in corners)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"{box!r} is not a box; write [x0, y0, x1, y1] in pixels of the image") from None
    if not all(math.isfinite(corner) for corner in (x0, y0, x1, y1)):
        raise ValueError(f"{box!r} is not a box: its corners must be finite")
    return x0, y0, x1, y1


def class_text(value: Any) -> str:
    """281.0, as a column with gaps comes out of Parquet, is class 281."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def cell_text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
