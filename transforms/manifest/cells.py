"""The cells of a manifest's line: target classes, and text. Boxes are in boxes.py."""

import json
import math
from collections.abc import Mapping
from typing import Any

Labels = tuple[str, ...]
"""All true classes of an image, or its values; as the manifest has them."""

_FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "": False, "nan": False}
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
    if is_missing(cell) or cell == []:
        return None
    targets = [target for target in (cell if isinstance(cell, list) else [cell]) if not is_missing(target)]
    if len(targets) > _MOST_TARGETS:
        raise ValueError(f"{len(targets)} target classes; at most {_MOST_TARGETS} are possible for an image")
    return tuple(class_text(target) for target in targets) or None


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
        return None if is_missing(cell) else class_text(cell) or None, None
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


def parse_text(cell: Any) -> str | None:
    """A class or number in a cell; None where the cell is empty."""
    return None if is_missing(cell) else class_text(cell) or None


def is_missing(value: Any) -> bool:
    """None, and NaN: what a column of numbers has in its gaps."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def class_text(value: Any) -> str:
    """281.0, as a column with gaps comes out of Parquet, is class 281."""
    if isinstance(value, str | int):
        return utf8(str(value)).strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    nested = isinstance(value, bytes | list | dict)
    return utf8(cell_text(value) or "" if nested else str(value)).strip()


def cell_text(value: Any) -> str | None:
    """What a further column of the table holds: a text as it is, a moment in ISO 8601, lists and objects as JSON."""
    if isinstance(value, str):  # most are
        return utf8(value)
    if is_missing(value):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, bool | int | float | list | dict | tuple):
        return json.dumps(value, default=cell_text)
    return utf8(str(value))


def utf8(text: str) -> str:
    r"""Text as files can hold it: half a surrogate pair, which JSON lets through, is escaped, as ``\ud800``."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
