"""What the page says of the run before anybody asks: its columns, and where to begin to look."""

import dataclasses
import json
import re
from typing import Any

from pipeline.audit.analysis import COVARIATES, rules
from pipeline.audit.inputs import quoted
from pipeline.explore.colors import color_tables
from pipeline.explore.errors import ExploreError
from pipeline.explore.session import Session
from pipeline.explore.view import read_expression
from transforms.storage import StateError, read_state

_MOST_FINDINGS = 40
_MOST_SLICES = 30
_MOST_VALUES = 200  # of a column that is a slice
_ORDER = re.compile(r"(\w+)( DESC)?")


def describe(session: Session) -> dict[str, Any]:
    """Runs, columns, tags, entry points and colour maps."""
    images, rows = session.records("SELECT approx_count_distinct(image_id), count(*) FROM statistics")[0].values()
    return {
        "run": session.run.run_id,
        "output": session.run.output,
        "before": None if session.before is None else session.before.run_id,
        "model": session.card.source,
        "layer": session.card.target_layer,
        "method": session.card.way,
        "grid": [session.card.cam_height, session.card.cam_width],
        "rows": rows,
        "images": images if images > 10_000 else _exactly(session),
        "columns": [dataclasses.asdict(column) for column in session.columns.values()],
        "moved": dict(session.moved),
        "tags": session.tags.counts(),
        "entries": [*_findings(session), *_neighbours(session), *_galleries(session)],
        "slices": _slices(session),
        "colors": color_tables(),
    }


def _exactly(session: Session) -> int:
    return session.records("SELECT count(DISTINCT image_id) AS images FROM statistics")[0]["images"]


def _galleries(session: Session) -> list[dict[str, Any]]:
    """The rules of the report, those that have any rows."""
    entries = []
    for rule in rules(session.table):
        total = session.records(f"SELECT count(*) AS n FROM statistics WHERE {rule.where}")[0]["n"]
        order = _ORDER.fullmatch(rule.order)
        if total:
            entries.append(
                {
                    "kind": "gallery",
                    "title": rule.title,
                    "text": rule.meaning,
                    "rows": total,
                    "view": {"sql": rule.where} | _sort(order, session),
                }
            )
    return entries


def _neighbours(session: Session) -> list[dict[str, Any]]:
    """What the neighbours of a run say, where they are known, each with all its rows."""
    near = {what: quoted(name) for what, name in session.near.items()}
    if not near:
        return []
    asked = [
        ("In several splits", "The same picture or nearly so.", near["leaks"], "duplicate_group", False),
        ("Doubtful labels", "Neighbours and model agree on another class.", f"{near['suggested_index']} IS NOT NULL",
         "predicted_votes", True),
        ("The same picture", "Photos that are there more than once.", f"{near['duplicate_group']} IS NOT NULL",
         "duplicate_group", False),
        ("Unlike all others", "Far from every other photo.", near["is_outlier"], "outlier_score", True),
    ]  # fmt: skip
    entries = []
    for title, text, where, sort, descending in asked:
        total = session.records(f"SELECT count(*) AS n FROM statistics WHERE {where}")[0]["n"]
        if total:
            view = {"sql": where, "sort": session.near[sort], "descending": descending}
            entries.append({"kind": "neighbours", "title": title, "text": text, "rows": total, "view": view})
    return entries


def _sort(order: "re.Match[str] | None", session: Session) -> dict[str, Any]:
    if order is None or order[1] not in session.columns:
        return {}
    return {"sort": order[1], "descending": order[2] is not None}


def _findings(session: Session) -> list[dict[str, Any]]:
    """Those of the run's report, where one was made; the file may be anybody's."""
    try:
        found = json.loads(read_state(f"{session.run.files.report}/findings.json", session.storage))
    except (FileNotFoundError, StateError, ValueError, RecursionError):
        return []
    if not isinstance(found, list):
        return []
    entries = []
    for finding in found[:_MOST_FINDINGS]:
        if not isinstance(finding, dict) or not isinstance(finding.get("text"), str):
            continue
        entries.append({"kind": "finding", "title": finding["text"][:500], "view": _view_of(finding, session)})
    return entries


def _view_of(finding: dict[str, Any], session: Session) -> dict[str, Any] | None:
    """The rows that a finding is about; None where it does not say. Whoever wrote the file wrote the condition too: it
    is asked only when somebody opens it, and as every condition reaches nothing but the rows."""
    where, order = finding.get("where"), finding.get("order")
    try:
        if isinstance(where, str):
            sort = _ORDER.fullmatch(order) if isinstance(order, str) else None
            return {"sql": read_expression(where)} | _sort(sort, session)
    except ExploreError:
        pass  # not a condition of columns alone: then the examples
    examples = finding.get("examples")
    if not isinstance(examples, list):
        return None
    images = [pair[0] for pair in examples if isinstance(pair, list) and pair and isinstance(pair[0], str)]
    return {"filters": [{"images": images[:_MOST_FINDINGS]}]} if images else None


def _slices(session: Session) -> list[dict[str, Any]]:
    """The slices of the reader's own config, then further columns of the manifest that divide the images into a few
    groups: each a column to look at by its values, or a condition."""
    entries: list[dict[str, Any]] = []
    for part in dict.fromkeys(part for spec in session.slices for part in ([spec] if isinstance(spec, str) else spec)):
        if part in session.columns:
            entries.append({"column": part})
        elif part not in COVARIATES:  # those that are no columns have no condition either
            entries.append({"sql": read_expression(part)})
    entries += [
        {"column": column.name}
        for column in session.columns.values()
        if column.name in session.extra_columns
        and column.kind in ("text", "truth")
        and 1 < column.distinct <= _MOST_VALUES
    ]
    return [entry for place, entry in enumerate(entries) if entry not in entries[:place]][:_MOST_SLICES]
