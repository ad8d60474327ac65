"""The columns of the table as the page knows them: what each holds, from where to where it goes."""

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from typing import Literal

from pipeline.audit.inputs import AuditTable, quoted
from pipeline.explore.near import NEIGHBOUR_COLUMNS
from transforms.table import column_meanings

Kind = Literal["number", "truth", "text", "other"]

_INTEGER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_FLOAT = re.compile(r"FLOAT|DOUBLE")
_FAR = 8.0  # times the middle 98 %: with a longer tail, bins over everything would show one bar
_SAMPLE = 50_000  # rows for the quantiles


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    type_name: str  # DuckDB's
    kind: Kind
    group: str  # as in the schema; "manifest" for further columns
    meaning: str
    known: int  # rows that are not NULL
    distinct: int  # different values, about
    low: float | None  # where its histogram begins and ends; None: it holds no finite numbers
    high: float | None
    least: float | None  # of all finite values
    most: float | None


def list_columns(
    table: AuditTable, moved: Collection[str] = (), near: Mapping[str, str] | None = None
) -> dict[str, Column]:
    """All columns but the map itself, in the order of the table.

    Args:
        moved: those about the other run.
        near: what neighbours say -> its column.
    """
    described = table.database.execute(f"SELECT column_name, column_type FROM (DESCRIBE {quoted(table.name)})")
    types = {name: kind for name, kind in described.fetchall() if name != "cam"}
    meanings = {
        name: (group, meaning) for group, columns in column_meanings().items() for name, meaning in columns.items()
    }
    of_neighbours = {name: what for what, name in (near or {}).items()}
    counts = _counts(table, types)
    found = {}
    for name, type_name in types.items():
        kind = kind_of(type_name)
        group, meaning = meanings.get(name, ("From the manifest and the config", ""))
        if name in moved:
            group = "Since the other run"
        if name in of_neighbours:
            group, meaning = "Neighbours", NEIGHBOUR_COLUMNS[of_neighbours[name]]
        known, distinct, least, most, first, last = counts[name]
        low, high = least, most
        if None not in (least, most, first, last) and most - least > _FAR * (last - first) > 0:
            low, high = first, last
        found[name] = Column(name, type_name, kind, group, meaning, known, distinct, low, high, least, most)
    return found


def kind_of(type_name: str) -> Kind:
    """What a column type of DuckDB holds."""
    if type_name == "BOOLEAN":
        return "truth"
    if type_name == "VARCHAR":
        return "text"
    return "number" if _INTEGER.fullmatch(type_name) or _FLOAT.fullmatch(type_name) else "other"


def finite(column: str, type_name: str) -> str:
    """SQL for the value of a column where it is a finite number, else NULL."""
    name = quoted(column)
    return f"CASE WHEN isfinite({name}) THEN {name} END" if _FLOAT.fullmatch(type_name) else name


def _counts(table: AuditTable, types: dict[str, str]) -> dict[str, tuple]:
    """Column -> rows that are known, different values, least, most, 1 % and 99 % quantile."""
    whole, sampled = [], []
    for name, type_name in types.items():
        kind, column = kind_of(type_name), quoted(name)
        value = finite(name, type_name)
        is_number = kind == "number"
        whole.append(f"count({column})")
        whole.append("NULL" if kind == "other" else f"approx_count_distinct({column})")
        whole += [f"{what}({value})::DOUBLE" if is_number else "NULL" for what in ("min", "max")]
        sampled += [f"quantile_cont({value}, {share})::DOUBLE" if is_number else "NULL" for share in (0.01, 0.99)]
    source = quoted(table.name)
    rows = table.database.execute(f"SELECT {', '.join(whole)} FROM {source}").fetchall()[0]
    tails = table.database.execute(
        f"SELECT {', '.join(sampled)} FROM "
        f"(SELECT * FROM {source} USING SAMPLE reservoir({_SAMPLE} ROWS) REPEATABLE (1))"
    ).fetchall()[0]
    found = {}
    for place, name in enumerate(types):
        known, distinct, least, most = rows[4 * place : 4 * place + 4]
        first, last = tails[2 * place : 2 * place + 2]
        ends = [None if end is None or not math.isfinite(end) else end for end in (least, most, first, last)]
        found[name] = (known, distinct or 0, *ends)
    return found
