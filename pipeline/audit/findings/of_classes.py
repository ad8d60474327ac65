"""Classes whose maps lie where those of the others do not."""

import numpy as np

from pipeline.audit.analysis import ClassAudit
from pipeline.audit.findings.finding import Finding, Rows
from pipeline.audit.findings.words import amount, named, p_value, photos, place_of
from pipeline.audit.inputs import AuditTable, Measure

_USUAL = 0.95  # quantile of the other classes' maps: a map with more than that is counted

_CAVEAT = (
    "The objects of this class may well be there: look at the pictures. Zero padding alone draws maps to the edge, so "
    "compare with run.controls. The test takes photos as independent; "
)
_COPIES_UNKNOWN = "near duplicates make it too sure: explain.embedding and beam-gradcam neighbours find them."
_COPIES_KNOWN = "of near duplicates it takes one."


def class_findings(table: AuditTable, audit: ClassAudit) -> list[Finding]:
    """A finding for each class that stands out, told by the measure in which it does so most.

    The strength is Cliff's delta (1993): how much more often a map of the class has more of the measure than a map of
    another class, less how often it has less.
    """
    findings = []
    for group in np.flatnonzero(audit.flags.any(axis=1)).tolist():
        places = np.flatnonzero(audit.flags[group]).tolist()
        places.sort(key=lambda place: -audit.ratio[group, place])
        findings.append(_finding(table, audit, group, places))
    return findings


def _finding(table: AuditTable, audit: ClassAudit, group: int, places: list[int]) -> Finding:
    place, index = places[0], int(audit.indices[group])
    measure, means = audit.measures[place], audit.means
    own, others = _values(table, measure, index)
    usual = float(np.quantile(others, _USUAL))
    above, of = int((own > usual).sum()), len(own)
    rest = float(others.mean())
    mean, low, high = (float(values[group, place]) for values in (means.mean, means.low, means.high))
    text = (
        f"On {above:,} of {photos(of)} of {named(audit.names[group])} the model looks at {place_of(measure.name)} more "
        f"than on 95 % of the photos of other classes: {amount(measure.name, mean)} on average, others "
        f"{amount(measure.name, rest).split()[0]}."
    )
    p = p_value(audit.p_values[group, place])
    tested, everything = int(means.count[group, place]), int(audit.overall.count[0, place])
    test = (
        f"Rank-sum test of {tested:,} maps against {everything - tested:,} of other classes, {p} after Holm over "
        f"{int((~np.isnan(audit.p_values)).sum()):,} tests; 95 % interval of the mean {low:.2f} to {high:.2f}, "
        f"{audit.ratio[group, place]:.1f} times that of the others."
    )
    also = [audit.measures[other] for other in places[1:]]
    if also:
        test += f" It stands out in {', '.join(place_of(other.name) for other in also)} as well."
    return Finding(
        kind="class",
        text=text,
        numbers={
            "class": index,
            "name": audit.names[group],
            "measure": measure.name,
            "also": [other.name for other in also],
            "mean": mean,
            "low": low,
            "high": high,
            "rest": rest,
            "ratio": float(audit.ratio[group, place]),
            "p_value": float(audit.p_values[group, place]),
            "maps": of,
            "above": above,
            "usual": usual,
        },
        images=above,
        strength=max(0.0, cliffs_delta(own, others)),
        test=test,
        caveat=_CAVEAT + (_COPIES_KNOWN if table.has_neighbours else _COPIES_UNKNOWN),
        rows=Rows(
            f"target_index = $class AND {measure.sql} > $usual",
            {"class": index, "usual": usual},
            f"{measure.sql} DESC, image_id",
        ),
    )


def cliffs_delta(own: np.ndarray, others: np.ndarray) -> float:
    """P(own > other) - P(own < other), -1..1."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, own, "left").sum()
    above = (len(ordered) - np.searchsorted(ordered, own, "right")).sum()
    return float(below - above) / (len(own) * len(others))


def _values(table: AuditTable, measure: Measure, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The measure on the rows of a class, and on all others."""
    found = table.arrays(
        f"SELECT target_index, CAST({measure.sql} AS DOUBLE) AS value FROM statistics "
        f"WHERE status IN ('OK', 'ZERO', 'FLAT') AND {measure.sql} IS NOT NULL"
    )
    is_own = found["target_index"] == index
    return found["value"][is_own].astype(np.float64), found["value"][~is_own].astype(np.float64)
