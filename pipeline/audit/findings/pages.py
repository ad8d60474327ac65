"""The findings with their pictures: three beside each sentence, and a page with all."""

import dataclasses
import json
import shlex
from collections.abc import Sequence
from typing import Any

from pipeline.audit.analysis import rows_where
from pipeline.audit.findings.finding import MOST_FINDINGS, Finding
from pipeline.audit.inputs import AuditTable
from pipeline.audit.pages import fill_page
from pipeline.runs import Run
from transforms.storage import Storage

_BESIDE = 3  # overlays beside a sentence
_PICTURES = 24  # on the page of a finding
_NAMED = 1000  # images whose URI stands on it

Row = dict[str, Any]
Pictures = dict[tuple[str, int], dict[str, str | None]]


@dataclasses.dataclass(frozen=True)
class FindingView:
    """A finding and the rows that show it."""

    finding: Finding
    rows: list[Row]  # the first thousand
    page: str | None  # its file beside the report; None: there is nothing to look at

    @property
    def beside(self) -> list[Row]:
        return self.rows[:_BESIDE]

    @property
    def pictured(self) -> list[Row]:
        return self.rows[:_PICTURES]


def view_findings(table: AuditTable, findings: Sequence[Finding]) -> list[FindingView]:
    """The findings with their rows, and a page for each that has rows to look at."""
    views = []
    for number, finding in enumerate(findings, 1):
        asked = finding.rows
        rows = [] if asked is None else rows_where(table, asked.where, asked.parameters, asked.order, _NAMED)
        views.append(FindingView(finding, rows, f"finding-{number}.html" if rows else None))
    return views


def write_findings(
    run: Run, health: Sequence[Finding], views: Sequence[FindingView], overlays: Pictures, storage: Storage
) -> None:
    """Write the page of each finding beside the report, and ``findings.json`` for machines.

    Args:
        overlays: of all pictured rows, relative to the folder of the report.
    """
    folder = run.files.report
    for view in views:
        if view.page is not None:
            values = {"run": run, "view": view, "overlays": overlays, "command": _command(run, view.finding)}
            storage.put(f"{folder}/{view.page}", fill_page("finding.html.j2", values))
    for number in range(1, MOST_FINDINGS + 1):  # of an earlier report of the same run
        if f"finding-{number}.html" not in {view.page for view in views}:
            storage.remove(f"{folder}/finding-{number}.html")
    told = [_for_machines(view) for view in (*(FindingView(found, [], None) for found in health), *views)]
    storage.put(f"{folder}/findings.json", json.dumps(told, indent=2).encode())


def _for_machines(view: FindingView) -> dict[str, Any]:
    found = view.finding
    return {
        "kind": found.kind,
        "text": found.text,
        "numbers": dict(found.numbers),
        "images": found.images,
        "strength": round(found.strength, 4),
        "test": found.test,
        "caveat": found.caveat,
        "page": view.page,
        "where": _condition(found),
        "order": None if found.rows is None else found.rows.order,
        "examples": [[row["image_id"], row["target_index"]] for row in view.rows[:_PICTURES]],
    }


def _command(run: Run, finding: Finding) -> str | None:
    """How to make all overlays; None where the rows are no short condition."""
    where = _condition(finding)
    if where is None:
        return None
    return (
        f"beam-gradcam render {shlex.quote(run.output)} --run {run.run_id} --where {shlex.quote(where)} "
        f"--limit {max(finding.images, 1)}"
    )


def _condition(finding: Finding) -> str | None:
    """The rows of a finding as SQL without parameters; None where they are no short condition."""
    rows = finding.rows
    if rows is None or not all(isinstance(value, str | int | float) for value in rows.parameters.values()):
        return None
    where = rows.where
    for name, value in rows.parameters.items():
        text = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
        where = where.replace(f"${name}", text)
    return where
