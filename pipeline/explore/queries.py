"""The questions of the page: rows, histograms, values, points. Each is a query or two over the whole table."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.audit.inputs import quoted
from pipeline.explore.columns import Column, finite
from pipeline.explore.errors import ExploreError
from pipeline.explore.near import NEAR, NEAR_PARAMETERS
from pipeline.explore.session import Session
from pipeline.explore.view import View
from transforms.model import ModelCard

BINS = 40
MOST_ROWS = 200  # of a page
MOST_CHARTS = 24
MOST_POINTS = 12_000  # that a scatter plot draws; more only hide each other
_VALUES = 12  # of a column, the most frequent ones
_CARDS = (
    "image_id", "uri", "status", "error_message", "width", "height", "predicted_index", "predicted_name",
    "predicted_probability", "target_index", "target_name", "target_reason", "target_probability", "label_index",
    "is_correct", "predicted_value", "label_value", "outcome", "gt_boxes", "cam_max", "cam_min", "cam_height",
    "cam_width", "cam", "box_x0", "box_y0", "box_x1", "box_y1",
)  # fmt: skip


def find_rows(session: Session, view: View, offset: int, limit: int, shown: Sequence[str] = ()) -> dict[str, Any]:
    """A page of rows with their maps, and how many there are in all.

    Args:
        shown: further columns.
    """
    if offset < 0 or not 1 <= limit <= MOST_ROWS:
        raise ExploreError(f"a page has 1 to {MOST_ROWS} rows and begins at 0 or later")
    condition, values = view.condition()
    columns = [name for name in dict.fromkeys([*_CARDS, *shown]) if name in session.columns or name == "cam"]
    # The condition is looked at once; of the map, which would be dragged along, only that of the page's rows is read.
    hits = f"WITH hits AS MATERIALIZED (SELECT rowid AS place, {view.keys} FROM statistics WHERE {condition})"
    with session.reading() as cursor:
        found = cursor.execute(
            f"{hits} SELECT place, (SELECT count(*) FROM hits) FROM hits "
            f"ORDER BY {view.order} LIMIT {limit} OFFSET {offset}",
            values,
        ).fetchall()
        if not found and offset:
            found = [(None, cursor.execute(f"{hits} SELECT count(*) FROM hits", values).fetchall()[0][0])]
    places = [place for place, _ in found if place is not None]
    total = found[0][1] if found else 0
    rows = _rows_at(session, places, columns)
    return {"total": total, "offset": offset, "rows": rows}


def find_row(session: Session, place: int) -> dict[str, Any]:
    """One row as a page has it, by its place in the table."""
    rows = _rows_at(session, [place], [*(name for name in _CARDS if name in session.columns), "cam"])
    if not rows:
        raise ExploreError(f"the table has no row {place}")
    return rows[0]


def _rows_at(session: Session, places: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    names = ", ".join(map(quoted, columns))
    sql = f"SELECT rowid AS place, {names} FROM statistics WHERE rowid IN (SELECT unnest($places))"
    found = {row["place"]: row for row in session.records(sql, {"places": list(places)})}
    rows = [as_json(found[place], session.card) for place in places if place in found]
    if session.before is not None:
        _add_before(session, rows)
    return rows


def _add_before(session: Session, rows: list[dict[str, Any]]) -> None:
    """To each row the row of the other run: of the same class where it explains that, else of the likeliest."""
    assert session.card_before is not None
    name = session.moved["image_id"]
    keys = session.records(
        f"SELECT rowid AS place, {quoted(name)} AS other FROM statistics WHERE rowid IN (SELECT unnest($places))",
        {"places": [row["place"] for row in rows]},
    )
    others = {key["place"]: key["other"] for key in keys}
    columns = ", ".join(quoted(name) for name in _CARDS if name in session.columns_before or name == "cam")
    found = session.records(
        f"SELECT {columns} FROM before WHERE image_id IN (SELECT unnest($ids)) ORDER BY target_rank",
        {"ids": [other for other in others.values() if other]},
    )
    for row in rows:
        mine = [other for other in found if other["image_id"] == others[row["place"]]]
        same = [other for other in mine if other["target_index"] == row["target_index"]]
        best = next(iter([*same, *mine]), None)
        row["before"] = None if best is None else as_json(best, session.card_before)


def find_image(session: Session, image_id: str) -> dict[str, Any]:
    """All that is known of an image: the rows of its classes, its tags, its neighbours."""
    rows = session.records("SELECT rowid AS place, * FROM statistics WHERE image_id = $id ORDER BY target_rank, place",
                           {"id": image_id})  # fmt: skip
    if not rows:
        raise ExploreError(f"the run has no image {image_id[:100]!r}")
    tags = session.records("SELECT tag, note, created FROM tags WHERE image_id = $id ORDER BY tag", {"id": image_id})
    found = [as_json(row, session.card) for row in rows]
    if session.before is not None:
        _add_before(session, found)
    return {"rows": found, "tags": tags, "neighbours": _find_neighbours(session, image_id)}


def _find_neighbours(session: Session, image_id: str) -> list[dict[str, Any]]:
    """The other photos of an image's group, without a distance, then its neighbours; empty where none are known."""
    names = session.card.class_names
    found = []
    for row in session.records(NEAR, {"id": image_id, **NEAR_PARAMETERS}):
        label = row["label_index"]
        row["label_name"] = names[label] if names and label is not None and 0 <= label < len(names) else None
        found.append({name: plain(value) for name, value in row.items()})
    return found


def find_histograms(session: Session, view: View, names: Sequence[str]) -> dict[str, Any]:
    """Column -> counts in bins, or its most frequent values, of the rows that all other filters leave."""
    if len(names) > MOST_CHARTS:
        raise ExploreError(f"at most {MOST_CHARTS} columns at a time")
    charts = {}
    with session.reading() as cursor:
        for name in names:
            column = session.columns.get(name)
            if column is None:
                raise ExploreError(f"the table has no column {str(name)[:100]!r}")
            condition, values = view.condition(column=name)
            is_binned = column.kind == "number" and column.low is not None
            sql = _bins(column, condition) if is_binned else _values(column, condition)
            charts[name] = cursor.execute(sql, values).fetchall()
    return {"charts": charts}


def _bins(column: Column, condition: str) -> str:
    low, high = column.low, column.high
    assert low is not None
    assert high is not None
    width = (high - low) / BINS or 1.0
    value = finite(column.name, column.type_name)
    return (
        f"SELECT least(greatest(floor(({value} - {low!r}::DOUBLE) / {width!r}::DOUBLE), 0), {BINS - 1})::INTEGER "
        f"AS bin, count(*) FROM statistics WHERE {condition} AND {value} IS NOT NULL GROUP BY bin ORDER BY bin"
    )


def _values(column: Column, condition: str) -> str:
    return (
        f"SELECT {quoted(column.name)}::VARCHAR AS value, count(*) AS n FROM statistics WHERE {condition} "
        f"GROUP BY value ORDER BY n DESC, value LIMIT {_VALUES}"
    )


def find_points(session: Session, view: View, x: str, y: str, color: str | None) -> dict[str, Any]:
    """Points of a scatter plot; of many rows a sample, the same each time."""
    for name in (x, y):
        if name not in session.columns or session.columns[name].kind != "number":
            raise ExploreError(f"{str(name)[:100]!r} is not a column of numbers: it cannot be an axis")
    condition, values = view.condition(lasso=[x, y])
    across, down = (finite(name, session.columns[name].type_name) for name in (x, y))
    condition = f"({condition}) AND {across} IS NOT NULL AND {down} IS NOT NULL"
    if color is not None and color not in session.columns:
        raise ExploreError(f"the table has no column {str(color)[:100]!r}")
    shade = "NULL" if color is None else quoted(color)
    if color is not None and session.columns[color].kind != "number":
        shade = f"{shade}::VARCHAR"
    with session.reading() as cursor:
        total = cursor.execute(f"SELECT count(*) FROM statistics WHERE {condition}", values).fetchall()[0][0]
        share = min(1.0, MOST_POINTS / max(total, 1))
        sample = "" if share == 1 else f" AND hash(image_id) < {int(share * (2**64 - 1))}::UBIGINT"
        points = cursor.execute(
            f"SELECT rowid, {across}::DOUBLE, {down}::DOUBLE, {shade} FROM statistics WHERE {condition}{sample}", values
        ).fetchall()
    return {"total": total, "points": [[plain(value) for value in point] for point in points]}


def find_classes(session: Session, view: View) -> list[dict[str, Any]]:
    """The classes that maps explain: how many rows, how many of them right, how far out they look."""
    condition, values = view.condition(column="target_index")
    rows = session.records(
        "SELECT target_index, any_value(target_name) AS name, count(*) AS rows, avg(is_correct::INTEGER) AS correct, "
        f"avg(border_lift) AS border FROM statistics WHERE {condition} AND target_index IS NOT NULL "
        "GROUP BY target_index ORDER BY rows DESC, target_index LIMIT 500",
        values,
    )
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def as_json(row: Mapping[str, Any], card: ModelCard) -> dict[str, Any]:
    """A row for the browser: the map as base64 of float32, where it lies on the photo, the label's name."""
    found = {name: plain(value) for name, value in row.items() if name != "cam"}
    cam = row.get("cam")
    found["cam"] = None if cam is None else base64.b64encode(np.asarray(cam, "<f4").tobytes()).decode()
    if row.get("width") and row.get("height"):
        frame = card.place(row["width"], row["height"]).map_frame
        edges = frame.to_input(np.array([0, 0, frame.width, frame.height]))
        found["frame"] = [*edges.tolist(), *frame.window]
    label = row.get("label_index")
    names = card.class_names
    found["label_name"] = names[label] if names and label is not None and 0 <= label < len(names) else None
    return found


def plain(value: Any) -> Any:
    """A value as JSON has it: no NaN, no infinity, and of anything strange its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value)


def find_images(session: Session, view: View) -> list[tuple[str, str]]:
    """The images of a view: id and URI of each."""
    condition, values = view.condition()
    rows = session.records(
        f"SELECT image_id, any_value(uri) AS uri FROM statistics WHERE {condition} GROUP BY image_id", values
    )
    return [(row["image_id"], row["uri"]) for row in rows]
