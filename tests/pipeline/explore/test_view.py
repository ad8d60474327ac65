"""Which rows a view chooses, against the same choice in Python; and what is refused."""

import dataclasses

import pytest

from pipeline.explore.errors import ExploreError
from pipeline.explore.queries import find_rows
from pipeline.explore.view import read_view


def chosen(session, **asked):
    found = find_rows(session, read_view(asked, session.columns), 0, 200)
    assert found["total"] == len(found["rows"])
    return {row["image_id"] for row in found["rows"]}


def expected(rows, test):
    found = {row["image_id"] for row in rows if test(row)}
    assert 0 < len(found) < len(rows)  # a test that everything passes tests nothing
    return found


@pytest.mark.parametrize(
    ("asked", "test"),
    [
        ({"column": "border_lift", "from": 0.2, "to": 0.6}, lambda row: 0.2 <= row["border_lift"] <= 0.6),
        ({"column": "border_lift", "from": 0.4, "to": None}, lambda row: row["border_lift"] >= 0.4),
        ({"column": "target_index", "to": 1}, lambda row: row["target_index"] <= 1),
        ({"column": "site", "is": ["north"]}, lambda row: row["site"] == "north"),
        ({"column": "is_correct", "is": ["false"]}, lambda row: row["is_correct"] is False),
        ({"column": "is_correct", "is": [False]}, lambda row: row["is_correct"] is False),
        ({"column": "target_index", "is": [0, 2]}, lambda row: row["target_index"] in (0, 2)),
        ({"column": "predicted_name", "has": "CA"}, lambda row: "ca" in row["predicted_name"]),
        ({"column": "site", "is": ["north"], "not": True}, lambda row: row["site"] != "north"),
    ],
)
def test_a_filter_chooses_the_rows_that_python_chooses(session, rows, asked, test):
    assert chosen(session, filters=[asked]) == expected(rows, test)


def test_filters_and_sql_hold_all_at_once(session, rows):
    asked = [{"column": "site", "is": ["north"]}, {"column": "target_index", "is": [1]}]
    found = chosen(session, filters=asked, sql="center_mass > 0.5 OR false -- a remark")
    assert found == expected(
        rows, lambda row: row["site"] == "north" and row["target_index"] == 1 and row["center_mass"] > 0.5
    )


def test_null_is_a_value_and_what_is_left_out_by_not_includes_it(session):
    assert chosen(session, filters=[{"column": "error_type", "is": [None]}]) == chosen(session)
    assert chosen(session, filters=[{"column": "error_type", "is": ["X"], "not": True}]) == chosen(session)
    assert chosen(session, filters=[{"column": "error_type", "is": []}]) == set()


def is_inside(points, x, y):
    """Even-odd rule, edge by edge."""
    inside = False
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if (y < y0) != (y < y1) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


@pytest.mark.parametrize(
    "points",
    [
        [[0.2, 0.2], [0.8, 0.3], [0.5, 0.8]],
        [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]],  # crosses itself
        [[0, 0.5], [0.5, 0.5], [0.5, 1], [0, 1]],
    ],
)
def test_a_lasso_holds_what_is_inside_by_the_even_odd_rule(session, rows, points):
    asked = {"lasso": ["centroid_x", "centroid_y"], "points": points}
    assert chosen(session, filters=[asked]) == expected(
        rows, lambda row: is_inside(points, row["centroid_x"], row["centroid_y"])
    )


def test_rows_come_in_the_order_that_is_asked_for_and_pages_do_not_overlap(session, rows):
    view = read_view({"sort": "entropy", "descending": True}, session.columns)
    pages = [find_rows(session, view, offset, 7)["rows"] for offset in (0, 7, 14, 21)]
    found = [row["image_id"] for page in pages for row in page]
    assert found == [row["image_id"] for row in sorted(rows, key=lambda row: (-row["entropy"], row["image_id"]))]


HOSTILE = 'x" FROM statistics; DROP TABLE statistics; --'


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ([], "a view is an object"),
        ({"filters": {}}, "filters: a list"),
        ({"filters": [{"column": "nothing", "from": 1}]}, "no column 'nothing'"),
        ({"filters": [{"column": HOSTILE, "is": ["a"]}]}, "no column"),
        ({"filters": [{"column": ["a"], "is": ["a"]}]}, "no column"),
        ({"filters": [{"column": "site", "from": 1}]}, "'site' holds no numbers"),
        ({"filters": [{"column": "entropy", "from": "1"}]}, "needs from or to"),
        ({"filters": [{"column": "entropy", "from": float("nan")}]}, "needs from or to"),
        ({"filters": [{"column": "entropy", "from": 10**400}]}, "needs from or to"),
        ({"filters": [{"column": "entropy"}]}, "needs from or to"),
        ({"filters": [{"column": "site", "is": "north"}]}, "is: a list"),
        ({"filters": [{"column": "site", "is": [{}]}]}, "is no value"),
        ({"filters": [{"column": "site", "has": 3}]}, "is not a text"),
        ({"filters": [{"tag": 3}]}, "is not a text"),
        ({"filters": [{"images": "a"}]}, "images: a list"),
        ({"filters": [{"lasso": ["entropy"], "points": []}]}, "names of two columns"),
        ({"filters": [{"lasso": ["entropy", "site"], "points": []}]}, "holds no numbers"),
        ({"filters": [{"lasso": ["entropy", "gini"], "points": [[0, 0], [1, 1]]}]}, "3 to 200 pairs"),
        ({"filters": [{"lasso": ["entropy", "gini"], "points": [[0, 0], [1, 1], ["a", 2]]}]}, "pairs of numbers"),
        ({"filters": [{}] * 51}, "at most 50"),
        ({"sort": HOSTILE}, "no column"),
        ({"sql": 3}, "a condition is a text"),
        ({"sql": "true; DROP TABLE statistics"}, "is not one SQL condition"),
        ({"sql": "true) OR (true"}, "is not one SQL condition"),
        ({"sql": "true, false"}, "is not one SQL condition"),
        ({"sql": "entropy >"}, "is not one SQL condition"),
    ],
)
def test_what_there_is_not_is_refused_by_name(session, asked, why):
    with pytest.raises(ExploreError, match=why):
        read_view(asked, session.columns)


@pytest.mark.parametrize(
    "sql",
    [
        "(SELECT count(*) FROM read_text('/etc/hostname')) > 0",
        "(SELECT count(*) FROM '/etc/passwd') > 0",
        "(SELECT count(*) FROM glob('/*')) > 0",
        "getenv('HOME') = 'x'",
        "nothing = 1",
        "entropy",
        "image_id IN (WITH gone AS (DELETE FROM statistics RETURNING image_id) SELECT image_id FROM gone)",
    ],
)
def test_a_condition_reaches_nothing_but_the_rows_and_changes_nothing(session, rows, sql):
    view = read_view({"sql": sql}, session.columns)
    if sql == "entropy":  # DuckDB takes a number for a condition; it is not 0 in any row
        assert find_rows(session, view, 0, 1)["total"] == len(rows)
        return
    with pytest.raises(ExploreError, match="the rows cannot be asked so"):
        find_rows(session, view, 0, 1)
    assert len(session.table.records("SELECT 1 FROM statistics")) == len(rows)


def test_a_condition_that_takes_too_long_is_stopped(session):
    hasty = dataclasses.replace(session, patience=0.2)
    view = read_view({"sql": "(SELECT count(*) FROM range(10000000) a, range(10000000) b) > 0"}, session.columns)
    with pytest.raises(ExploreError, match=r"took more than 0\.2 seconds and was stopped"):
        find_rows(hasty, view, 0, 1)
    assert find_rows(session, read_view({}, session.columns), 0, 1)["total"] > 0


def test_queries_cannot_write(session):
    for sql in (
        "DELETE FROM statistics",
        "CREATE TABLE x (a INT)",
        "DROP TABLE statistics",
        "UPDATE statistics SET uri = ''",
    ):
        with pytest.raises(ExploreError, match="read-only"):
            session.records(sql)
