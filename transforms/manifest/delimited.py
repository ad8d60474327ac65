"""Manifests with columns and a separator: CSV, TSV, and what spreadsheets call CSV."""

import csv
import itertools
import re
from collections.abc import Iterator
from typing import IO

from transforms.manifest.columns import check_columns, strip_names
from transforms.manifest.manifest import Manifest, ManifestError

_FIELD_LIMIT = 1 << 24  # characters in one field: a data: URI may hold a picture
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)  # Excel's own


def read_delimited(lines: IO[str], manifest: Manifest, separator: str | None) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a manifest by column, numbered as an editor does.

    Args:
        separator: None: the comma; or what a line ``sep=;`` says; or the one that makes the header name the columns.
    """
    csv.field_size_limit(_FIELD_LIMIT)
    first = next(lines, "")
    passed = 0
    said = _SEPARATOR_LINE.fullmatch(first)
    if said is not None:
        separator, first, passed = said[1], next(lines, ""), 1
    if separator is None:
        separator = _separator_of(first, manifest)
    rows = csv.reader(itertools.chain([first] if first else [], lines), delimiter=separator, strict=True)
    header = _next_row(rows, passed + 1, manifest)
    if header is None:
        raise ManifestError(f"{manifest.shown}: the manifest is empty; its first line must name the columns")
    header = strip_names(header)
    check_columns(header, manifest)
    while (number := passed + rows.line_num + 1) and (cells := _next_row(rows, number, manifest)) is not None:
        if not cells:
            continue
        if len(cells) != len(header):
            raise ManifestError(
                f"{manifest.shown}, line {number}: {len(cells)} cells where the header has {len(header)}; "
                "quote cells that contain the separator"
            )
        yield number, dict(zip(header, cells, strict=True))


def _separator_of(header: str, manifest: Manifest) -> str:
    """The comma, unless only another one finds the column of URIs."""
    for separator in _SEPARATORS:
        try:
            names = strip_names(next(csv.reader([header], delimiter=separator), []))
        except csv.Error:
            continue
        if manifest.uri_column in names:
            return separator
    return ","


def _next_row(rows: Iterator[list[str]], number: int, manifest: Manifest) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        raise ManifestError(
            f"{manifest.shown}: the row that begins in line {number} cannot be read ({error}); "
            'a quoted cell ends with ", and a " inside it is written twice'
        ) from None
