"""The cells of a manifest's line: target classes, and text. Boxes are in boxes.py."""

import json
import math
from typing import Any

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


def parse_label(cell: Any) -> str | None:
    """The true class; None where the cell is empty."""
    text = "" if is_missing(cell) else class_text(cell)
    return text or None


def is_missing(value: Any) -> bool:
    """None, and NaN: what a column of numbers has in its gaps."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def class_text(value: Any) -> str:
    """281.0, as a column with gaps comes out of Parquet, is class 281."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    nested = isinstance(value, bytes | list | dict)
    return utf8(cell_text(value) or "" if nested else str(value)).strip()


def cell_text(value: Any) -> str | None:
    """What a further column of the table holds: a text as it is, a moment in ISO 8601, lists and objects as JSON."""
    if is_missing(value):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, bool | int | float | list | dict | tuple):
        return json.dumps(value, default=cell_text)
    return utf8(str(value))


def utf8(text: str) -> str:
    r"""Text as files can hold it: half a surrogate pair, which JSON lets through, is escaped, as ``\ud800``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
