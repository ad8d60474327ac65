"""The cells of a manifest's line: target classes, boxes, and text."""

import json
import math
from collections.abc import Mapping
from typing import Any

from transforms.records import Box

Labels = tuple[str, ...]
"""All true classes of an image, or its values; as the manifest has them."""

_FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "": False, "nan": False}

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


def parse_label(cell: Any) -> tuple[str | None, Labels | None]:
    """What is true of an image: the cell as a text, and all of it where it tells several classes, values, or none.

    ``cat;grass``, a JSON list and a list cell tell several, ``[]`` none. An empty cell tells nothing. A name with a
    semicolon looks like several: who looks for the class tries the whole of it first.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if not text.startswith("["):
            several = tuple(part.strip() for part in text.split(";") if part.strip()) if ";" in text else None
            return text or None, several
        cell = _list_in(text)
    if not isinstance(cell, list):
        is_gap = cell is None or (isinstance(cell, float) and math.isnan(cell))
        return None if is_gap else class_text(cell) or None, None
    if len(cell) > _MOST_TARGETS:
        raise ValueError(f"{len(cell)} labels; at most {_MOST_TARGETS} are possible for an image")
    labels = tuple(class_text(label) for label in cell)
    return ";".join(labels) or None, labels


def parse_flags(cells: Mapping[str, Any]) -> Labels:
    """The columns that say yes: 1, 1.0, true, as a number, a truth value or a text; the others say 0, false or nothing.

    Raises:
        ValueError: a cell says something else.
    """
    found = []
    for name, cell in cells.items():
        text = "" if cell is None else str(cell).strip().lower()
        if text not in _FLAGS:
            raise ValueError(
                f"{cell!r} in column {name} is no flag; write 1 where the class is true of the image, or 0"
            )
        if _FLAGS[text]:
            found.append(name)
    return tuple(found)


def _list_in(text: str) -> Any:
    """A JSON list; the text where it only looks like one, as the name "[unknown]" does."""
    try:
        return parse_json(text)
    except ValueError:
        return text


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
