"""Boxes as people write them: JSON, tuples, NumPy's text; corners, or a corner and a size; pixels, or shares of 1."""

import dataclasses
import math
import re
from typing import Any, Literal

from transforms.manifest.cells import is_missing, parse_json
from transforms.records import MOST_BOXES, Box

BoxFormat = Literal["xyxy", "xywh", "normalized"]

_WRITE = "write [[x0, y0, x1, y1]] in pixels of the image, or say in input.box_format what the numbers are"
_WORDS = re.compile(r"\b(?:np|numpy)\.|\b(?:array|float\d*|u?int\d*)(?=\()|,\s*dtype=[\w.]+")
_CORNERS = (("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"),
            ("left", "top", "right", "bottom"))  # fmt: skip
_SIZES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_NONE = ("", "nan", "none", "null", "<na>")
_PLAIN_SHARE = 0.1  # of boxes that end before they begin: more than slips of the pen


def parse_boxes(cell: Any, box_format: BoxFormat = "xyxy") -> tuple[Box, ...] | None:
    """Boxes as JSON, a list cell, tuples or NumPy's text, each of four numbers or an object; None where empty.

    Returns:
        x0, y0, x1, y1 in pixels of the image; of the format ``normalized``, in 0..1 of it.

    Raises:
        ValueError: it is nothing of the kind.
    """
    if isinstance(cell, str):
        cell = None if cell.strip().lower() in _NONE else _parse_text(cell)
    if is_missing(cell):
        return None
    if not isinstance(cell, list):
        cell = [cell]
    if cell and all(isinstance(number, int | float) for number in cell):
        cell = [cell]  # one box without the outer list
    if len(cell) > MOST_BOXES:
        raise ValueError(f"{len(cell)} boxes; at most {MOST_BOXES} are possible for an image")
    return tuple(_parse_box(box, box_format) for box in cell)


def _parse_text(text: str) -> Any:
    as_json = _as_json(text)
    for candidate in (text, as_json, f"[{as_json}]"):
        try:
            return parse_json(candidate)
        except ValueError:
            continue
    raise ValueError(f"{_short(text)} is no list of boxes; {_WRITE}")


def _as_json(text: str) -> str:
    """``array([[1., 2., 3., 4.]])``, ``[(1, 2, 3, 4)]``, ``[[1 2 3 4]]`` and ``1, 2, 3, 4`` as JSON."""
    text = _WORDS.sub("", text).strip().replace("([", "[").replace("])", "]").translate(str.maketrans("()", "[]"))
    text = re.sub(r"\[(-?[\d.eE+-]+)\]", r"\1", text)  # float64(1.5)
    text = re.sub(r"(?<=[\d.\]])\s+(?=[-+\d.\[])", ",", text)
    text = re.sub(r"(?<=\d)\.(?=[^\d]|$)", ".0", re.sub(r"(?<![\d.])\.(?=\d)", "0.", text))
    return re.sub(r",\s*(?=\])", "", text).replace("+", "")


def _parse_box(box: Any, box_format: BoxFormat) -> Box:
    try:
        if isinstance(box, dict):
            box, box_format = _from_object(box, box_format)
        x0, y0, x1, y1 = (float(number) for number in box)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"{_short(box)} is not a box; {_WRITE}") from None
    if not all(math.isfinite(number) for number in (x0, y0, x1, y1)):
        raise ValueError(f"{_short(box)} is not a box: its numbers must be finite")
    if box_format == "xywh":
        return x0, y0, x0 + x1, y0 + y1
    if box_format == "normalized" and not all(-0.5 <= number <= 1.5 for number in (x0, y0, x1, y1)):
        raise ValueError(f"{_short(box)} is not in 0..1 of the image, as input.box_format: normalized says")
    return x0, y0, x1, y1


def _from_object(box: dict[str, Any], box_format: BoxFormat) -> tuple[list[Any], BoxFormat]:
    for names in _CORNERS:
        if all(name in box for name in names):
            return [box[name] for name in names], "xyxy" if box_format == "xywh" else box_format
    for names in _SIZES:
        if all(name in box for name in names):
            x, y, width, height = (box[name] for name in names)
            return [x, y, float(x) + float(width), float(y) + float(height)], (
                "xyxy" if box_format == "xywh" else box_format
            )
    raise KeyError


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@dataclasses.dataclass
class BoxSurvey:
    """What the boxes of a manifest look like together: a wrong format shows in many, not in one."""

    count: int = 0
    within_unit: int = 0  # all numbers in 0..1, and not a whole pixel's box
    backwards: int = 0  # x1 < x0 or y1 < y0

    def see(self, boxes: tuple[Box, ...] | None) -> None:
        for x0, y0, x1, y1 in boxes or ():
            self.count += 1
            self.within_unit += all(0 <= number <= 1 for number in (x0, y0, x1, y1))
            self.backwards += x1 < x0 or y1 < y0

    def note(self, box_format: BoxFormat) -> str | None:
        """What is plainly wrong, with the remedy; None where nothing is."""
        if box_format == "normalized" or not self.count:
            return None
        if box_format == "xyxy" and self.within_unit == self.count:
            return (
                f"all {self.count:,} boxes lie in 0..1, less than a pixel: if they are shares of the image, set "
                "input.box_format: normalized"
            )
        if self.backwards > _PLAIN_SHARE * self.count:
            other = "a corner and a size, set input.box_format: xywh"
            if box_format == "xywh":
                other = "corners, set input.box_format: xyxy"
            return (
                f"{self.backwards:,} of {self.count:,} boxes end before they begin (x1 < x0 or y1 < y0): if they are "
                + other
            )
        return None
