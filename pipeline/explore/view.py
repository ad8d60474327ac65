"""Which rows the page shows and in which order: what the browser asks for, checked, as SQL.

A view is JSON: ``{"filters": [...], "sql": "...", "sort": COLUMN, "descending": true}``, each filter one of

    {"column": NAME, "from": NUMBER or null, "to": NUMBER or null}      both ends count
    {"column": NAME, "is": [VALUE, ...]}                                null stands for NULL
    {"column": NAME, "has": TEXT}                                       anywhere, in whatever case
    {"lasso": [X, Y], "points": [[x, y], ...]}                          inside the polygon
    {"tag": TEXT or null}                                               images with a tag; null: without any
    {"images": [IMAGE_ID, ...]}

and with ``"not": true`` the rows that it leaves out. Values travel as parameters, names are quoted and must be
columns; only ``sql`` is SQL, one expression.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb

from pipeline.audit.inputs import quoted
from pipeline.explore.columns import Column
from pipeline.explore.errors import ExploreError

MOST_FILTERS = 50
MOST_POINTS = 200  # of a lasso
MOST_VALUES = 10_000
MOST_SQL = 10_000  # characters
_LARGEST = 1e300


@dataclasses.dataclass(frozen=True)
class View:
    """A choice of rows and their order."""

    filters: tuple[Mapping[str, Any], ...]
    sql: str  # one expression as DuckDB writes it; empty: none
    order: str  # SQL; unique, so that pages do not overlap
    columns: Mapping[str, Column]
    sort: str | None = None  # the column

    @property
    def keys(self) -> str:
        """SQL: the columns that the order needs."""
        return ", ".join(map(quoted, dict.fromkeys([*([self.sort] if self.sort else []), "image_id", "target_index"])))

    def condition(self, column: str | None = None, lasso: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
        """SQL and its parameters; without the filters of ``column`` and the lassos on the axes ``lasso``.

        A chart shows what all others leave, so that its own brush can be moved.
        """
        values: dict[str, Any] = {}
        parts = [f"({self.sql})"] if self.sql else []
        for asked in self.filters:
            if (column is not None and asked.get("column") == column) or (lasso and asked.get("lasso") == list(lasso)):
                continue
            part = _filter(asked, self.columns, values)
            parts.append(f"NOT coalesce({part}, false)" if asked.get("not") else f"({part})")
        return " AND ".join(parts) or "true", values


def read_view(asked: Any, columns: Mapping[str, Column]) -> View:
    """The view that a browser asks for.

    Raises:
        ExploreError: it asks for what there is not.
    """
    if not isinstance(asked, dict):
        raise ExploreError(f"a view is an object with filters, sql and sort, not {str(asked)[:100]!r}")
    filters = asked.get("filters", [])
    if not isinstance(filters, list) or len(filters) > MOST_FILTERS or not all(isinstance(f, dict) for f in filters):
        raise ExploreError(f"filters: a list of at most {MOST_FILTERS} objects")
    for each in filters:
        _filter(each, columns, {})
    return View(
        tuple(filters),
        read_expression(asked.get("sql", "")),
        _order(asked, columns),
        columns,
        asked.get("sort") or None,
    )


def read_expression(text: Any) -> str:
    """A condition in SQL as DuckDB writes it again: one expression, without comments.

    Raises:
        ExploreError: it is anything else.
    """
    if not isinstance(text, str) or len(text) > MOST_SQL:
        raise ExploreError(f"a condition is a text of at most {MOST_SQL} characters")
    if not text.strip():
        return ""
    try:
        return str(duckdb.SQLExpression(text))
    except duckdb.Error as error:
        raise ExploreError(f"{text[:200]!r} is not one SQL condition: {str(error).splitlines()[0]}") from None


def _order(asked: Mapping[str, Any], columns: Mapping[str, Column]) -> str:
    # Ids are hashes: without a wish, the first page is a sample of all.
    last = "image_id, target_index"
    name = asked.get("sort")
    if not name:
        return last
    way = "DESC" if asked.get("descending") else "ASC"
    return f"{quoted(_known(name, columns))} {way} NULLS LAST, {last}"


def _known(name: Any, columns: Mapping[str, Column]) -> str:
    if not isinstance(name, str) or name not in columns:
        raise ExploreError(f"the table has no column {str(name)[:100]!r}")
    return name


def _number_column(name: Any, columns: Mapping[str, Column]) -> str:
    if columns[_known(name, columns)].kind != "number":
        raise ExploreError(f"the column {name[:100]!r} holds no numbers: choose values of it")
    return quoted(name)


def _filter(asked: Mapping[str, Any], columns: Mapping[str, Column], values: dict[str, Any]) -> str:
    """The SQL of one filter; its values are added to ``values``."""

    def hold(value: Any) -> str:
        name = f"v{len(values)}"
        values[name] = value
        return f"${name}"

    if "lasso" in asked:
        return _lasso(asked, columns, hold)
    if "tag" in asked:
        if asked["tag"] is None:
            return "image_id NOT IN (SELECT image_id FROM tags)"
        return f"image_id IN (SELECT image_id FROM tags WHERE tag = {hold(_text(asked['tag']))})"
    if "images" in asked:
        return f"image_id IN (SELECT unnest({hold(_texts(asked['images']))}))"
    name = _known(asked.get("column"), columns)
    if "has" in asked:
        return f"contains(lower({quoted(name)}::VARCHAR), lower({hold(_text(asked['has']))}))"
    if "is" in asked:
        chosen = asked["is"]
        if not isinstance(chosen, list) or len(chosen) > MOST_VALUES:
            raise ExploreError(f"is: a list of at most {MOST_VALUES} values")
        known = [_plain(value) for value in chosen if value is not None]
        parts = [f"{quoted(name)}::VARCHAR IN (SELECT unnest({hold(known)}))"] if known else []
        parts += [f"{quoted(name)} IS NULL"] if None in chosen else []
        return " OR ".join(parts) or "false"
    ends = {way: asked[way] for way in ("from", "to") if asked.get(way) is not None}
    if not ends or not all(_is_finite(end) for end in ends.values()):
        raise ExploreError(f"a filter needs from or to (numbers), is, has, lasso, tag or images: {str(asked)[:200]}")
    column = _number_column(name, columns)
    return " AND ".join(f"{column} {'>=' if way == 'from' else '<='} {hold(end)}" for way, end in ends.items())


def _plain(value: Any) -> str:
    """A value as DuckDB casts it to text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ExploreError(f"{str(value)[:100]!r} is no value of a column")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ExploreError(f"{str(value)[:100]!r} is not a text")
    return value


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or len(values) > MOST_VALUES:
        raise ExploreError(f"images: a list of at most {MOST_VALUES} ids")
    return [_text(value) for value in values]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _lasso(asked: Mapping[str, Any], columns: Mapping[str, Column], hold: Callable[[Any], str]) -> str:
    """Even-odd rule: a point is inside where a ray to the right crosses the outline an odd number of times."""
    axes, points = asked["lasso"], asked.get("points")
    if not isinstance(axes, list) or len(axes) != 2:
        raise ExploreError("lasso: the names of two columns")
    x, y = (_number_column(name, columns) for name in axes)
    if (
        not isinstance(points, list)
        or not 3 <= len(points) <= MOST_POINTS
        or not all(isinstance(point, list) and len(point) == 2 and all(map(_is_finite, point)) for point in points)
    ):
        raise ExploreError(f"points: a list of 3 to {MOST_POINTS} pairs of numbers")
    crossings = []
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if y0 != y1:
            first, second = hold(float(y0)), hold(float(y1))
            at = f"{hold(float(x0))} + ({y} - {first}) * {hold((x1 - x0) / (y1 - y0))}"
            crossings.append(f"(({y} < {first}) <> ({y} < {second}) AND {x} < {at})::INTEGER")
    if not crossings:
        return "false"
    across, down = ([point[axis] for point in points] for axis in (0, 1))
    box = " AND ".join(
        f"{column} BETWEEN {hold(float(min(ends)))} AND {hold(float(max(ends)))}"
        for column, ends in ((x, across), (y, down))
    )
    return f"{box} AND ({' + '.join(crossings)}) % 2 = 1"
