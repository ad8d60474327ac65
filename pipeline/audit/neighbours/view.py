"""The neighbours' findings with their pictures, for a section of the report."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from pipeline.audit.analysis import rows_where
from pipeline.audit.findings import Finding
from pipeline.audit.inputs import AuditTable, quoted
from pipeline.audit.neighbours.write import SPLIT

_PICTURES = 12


@dataclasses.dataclass(frozen=True)
class NeighbourView:
    """A finding and the first rows that show it, each with ``duplicate_group`` and ``split``."""

    finding: Finding
    rows: list[dict[str, Any]]


def neighbours_view(table: AuditTable, findings: Sequence[Finding]) -> list[NeighbourView]:
    """A view of each finding."""
    views = []
    split = quoted(SPLIT) if SPLIT in table.columns else "NULL"
    for finding in findings:
        asked = finding.rows
        assert asked is not None  # of neighbours there is always something to look at
        rows = rows_where(table, asked.where, asked.parameters, asked.order, _PICTURES)
        known = {
            row["image_id"]: row
            for row in table.records(
                f"SELECT image_id, any_value(duplicate_group) AS duplicate_group, any_value(CAST({split} AS VARCHAR)) "
                "AS split FROM statistics JOIN statistics_neighbours USING (image_id) "
                "WHERE list_contains($ids, image_id) GROUP BY image_id",
                {"ids": [row["image_id"] for row in rows]},
            )
        }
        views.append(NeighbourView(finding, [row | known[row["image_id"]] for row in rows]))
    return views
