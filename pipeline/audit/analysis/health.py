"""What became of the images of a run: the first thing to know before any number is believed."""

import dataclasses
from typing import Any

from pipeline.audit.inputs import AuditTable
from pipeline.runs import Run
from transforms.explain import GUARDED_CHANNELS

_KINDS = 20
_EXAMPLES = 3


@dataclasses.dataclass(frozen=True)
class Health:
    """Counts of images and rows, failures by kind, time."""

    images: int  # distinct images that have rows
    rows: int
    statuses: list[dict[str, Any]]  # status, images, rows
    failures: list[dict[str, Any]]  # status, error_type, images, examples: [{uri, error_message}]
    zero_rate: float | None  # of the rows that were explained
    lines: int | None  # of the manifest; this and what follows: None while the run has not ended
    duplicates: int | None
    expected: int | None  # images of the manifest
    done_before: int | None
    guarded_channels: int = 0  # whose weight the method could not compute

    @property
    def is_conserved(self) -> bool:
        """Every image of the manifest has its rows."""
        return self.expected == self.images


def check_health(table: AuditTable, run: Run) -> Health:
    statuses = table.records(
        "SELECT status, count(DISTINCT image_id) AS images, count(*) AS rows FROM statistics "
        "GROUP BY status ORDER BY rows DESC"
    )
    failed = "status NOT IN ('OK', 'ZERO', 'FLAT')"
    failures = table.records(
        "SELECT status, error_type, count(DISTINCT image_id) AS images, "
        f"arg_min({{'uri': uri, 'message': error_message}}, image_id, {_EXAMPLES}) AS examples "
        f"FROM statistics WHERE {failed} GROUP BY status, error_type "
        f"ORDER BY images DESC, status, error_type LIMIT {_KINDS}"
    )
    totals = table.records(
        "SELECT count(DISTINCT image_id) AS images, count(*) AS rows, "
        f"avg(CAST(status = 'ZERO' AS INT)) FILTER (NOT ({failed})) AS zero_rate FROM statistics"
    )[0]
    summary = run.summary
    return Health(
        images=totals["images"],
        rows=totals["rows"],
        statuses=statuses,
        failures=failures,
        zero_rate=totals["zero_rate"],
        lines=summary.inputs if summary else None,
        duplicates=summary.duplicates if summary else None,
        expected=summary.images if summary else None,
        done_before=summary.done_before if summary else None,
        guarded_channels=summary.events.get(GUARDED_CHANNELS, 0) if summary else 0,
    )
