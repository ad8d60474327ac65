"""Outputs of which any number may be true of an image: how good each label is, and what false alarms look at."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pipeline.audit.analysis.grouped_maps import group_maps
from pipeline.audit.inputs import AuditTable

_OUTCOMES = ("TP", "FN", "FP")


@dataclasses.dataclass(frozen=True, eq=False)
class LabelAudit:
    """One label, over all images whose labels are known; NaN where a share is of nothing."""

    index: int
    name: str  # the index where there is no name
    true: int  # images
    found: int
    precision: float  # of the images where it is found, share where it is true
    recall: float  # of the images where it is true, share where it is found
    average_precision: float  # area under precision over recall, ties together; NaN above 1000 classes
    # Of the images where it is found and not true: the label that most of them have instead, and how many do.
    instead: str | None
    instead_images: int
    false_maps: int  # maps of false alarms in the table, of any targets
    on_other_object: float  # pointing game of these with the true boxes, which are of other labels; NaN without boxes
    other_lift: float  # mean mass in these boxes / their area; 1 = uniform
    own_lift: float  # the same for maps of labels that are found and true
    maps: dict[str, np.ndarray]  # TP, FN, FP -> mean lift of each cell [h, w], where there are maps

    @property
    def false_alarms(self) -> int:
        return self.found - round(self.precision * self.found) if self.found else 0


def audit_labels(table: AuditTable, names: Sequence[str] | None, height: int, width: int) -> list[LabelAudit]:
    """Each label that is true or found anywhere, the most frequent first.

    Precision, recall and average precision count every image with known labels, whatever its targets were.
    """
    counts = _counts(table)
    average, instead, looks = _average_precisions(table), _instead(table), _looks(table)
    maps = group_maps(
        table,
        "SELECT outcome || ' ' || target_index AS bin, cam FROM statistics "
        "WHERE status IN ('OK', 'FLAT') AND outcome IN ('TP', 'FN', 'FP')",
        height,
        width,
    )
    audits = []
    for index, (true, found, both) in counts.items():
        other, images = instead.get(index, (None, 0))
        alarms, own = looks.get((index, "FP"), {}), looks.get((index, "TP"), {})
        audits.append(
            LabelAudit(
                index=index,
                name=_name(index, names),
                true=true,
                found=found,
                precision=both / found if found else np.nan,
                recall=both / true if true else np.nan,
                average_precision=average.get(index, np.nan),
                instead=None if other is None else _name(other, names),
                instead_images=images,
                false_maps=int(alarms.get("maps", 0)),
                on_other_object=_number(alarms.get("hit")),
                other_lift=_number(alarms.get("lift")),
                own_lift=_number(own.get("lift")),
                maps={kind: maps[f"{kind} {index}"] for kind in _OUTCOMES if f"{kind} {index}" in maps},
            )
        )
    return sorted(audits, key=lambda audit: (-audit.true, -audit.found, audit.index))


_IMAGES = (
    "SELECT image_id, any_value(label_indices) AS labels, any_value(found_indices) AS found, "
    "any_value(class_probabilities) AS p FROM statistics "
    "WHERE label_indices IS NOT NULL AND found_indices IS NOT NULL GROUP BY image_id"
)


def _counts(table: AuditTable) -> dict[int, tuple[int, int, int]]:
    """Images where a label is true, where it is found, and where it is both."""
    counts: dict[int, list[int]] = {}
    for place, lists in enumerate(("labels", "found", "list_intersect(labels, found)")):
        for row in table.records(
            f"SELECT index, count(*) AS images FROM (SELECT unnest({lists}) AS index FROM ({_IMAGES})) GROUP BY index"
        ):
            counts.setdefault(row["index"], [0, 0, 0])[place] = row["images"]
    return {index: (true, found, both) for index, (true, found, both) in counts.items()}


def _average_precisions(table: AuditTable) -> dict[int, float]:
    """The mean, over the images where a label is true, of the precision among all that are scored as high."""
    rows = table.records(
        "SELECT index, avg(precise) AS ap FROM (SELECT index, is_true, "
        "sum(is_true) OVER scored / count(*) OVER scored AS precise FROM (SELECT index, score, "
        "CAST(list_contains(labels, index) AS INT) AS is_true FROM (SELECT labels, unnest(range(len(p))) AS index, "
        f"unnest(p) AS score FROM ({_IMAGES}) WHERE p IS NOT NULL)) "
        "WINDOW scored AS (PARTITION BY index ORDER BY score DESC RANGE UNBOUNDED PRECEDING)) "
        "WHERE is_true = 1 GROUP BY index"
    )
    return {row["index"]: row["ap"] for row in rows}


def _instead(table: AuditTable) -> dict[int, tuple[int, int]]:
    """For each label: the one that is true of most images where it is a false alarm, and of how many."""
    rows = table.records(
        "SELECT alarm, other, count(*) AS images FROM (SELECT alarm, unnest(labels) AS other FROM "
        "(SELECT labels, unnest(list_filter(found, lambda i: NOT list_contains(labels, i))) AS alarm "
        f"FROM ({_IMAGES}))) GROUP BY alarm, other "
        "QUALIFY row_number() OVER (PARTITION BY alarm ORDER BY images DESC, other) = 1"
    )
    return {row["alarm"]: (row["other"], row["images"]) for row in rows}


def _looks(table: AuditTable) -> dict[tuple[int, str], dict[str, float]]:
    """Where the maps of a label and outcome lie in the true boxes."""
    rows = table.records(
        "SELECT target_index, outcome, count(*) AS maps, avg(point_hit) AS hit, avg(gt_lift) AS lift FROM statistics "
        "WHERE status IN ('OK', 'FLAT') AND outcome IS NOT NULL GROUP BY target_index, outcome"
    )
    return {(row["target_index"], row["outcome"]): row for row in rows}


def _name(index: int, names: Sequence[str] | None) -> str:
    return str(index) if names is None else names[index]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
