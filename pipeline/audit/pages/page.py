"""The HTML pages: one file each, with style and script inside, that asks nothing of any other machine."""

import math
from collections.abc import Mapping
from typing import Any

import jinja2

_MISSING = "–"


def fill_page(template: str, values: Mapping[str, Any]) -> bytes:
    """Fill one of the templates beside this file. All values are escaped: names come from manifests of strangers."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.audit.pages", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "count": count}
    return environment.get_template(template).render(values).encode("utf-8", "replace")


def number(value: float | None, digits: int = 2) -> str:
    if value is None or math.isnan(value):
        return _MISSING
    return f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 0) -> str:
    if value is None or math.isnan(value):
        return _MISSING
    least = 10.0 ** -(digits + 2)  # 1 % where no digit follows the point
    if 0 < value < least / 2:
        return f"<\u00a0{100 * least:.{digits}f}\u00a0%"
    if 1 - least / 2 < value < 1:
        return f">\u00a0{100 * (1 - least):.{digits}f}\u00a0%"
    return f"{100 * value:.{digits}f}\u00a0%"


def count(value: int | None) -> str:
    return _MISSING if value is None else f"{value:,}".replace(",", "\u202f")
