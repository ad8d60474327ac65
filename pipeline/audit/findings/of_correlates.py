"""Properties of the photos that go with where the model looks, told by the photos that have most or least of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.audit.analysis import COVARIATES, LOOKS, SAMPLE, Correlate
from pipeline.audit.findings.finding import Finding, Rows
from pipeline.audit.findings.words import ENDS, LOOK_WORDS, named, p_value, photos
from pipeline.audit.inputs import AuditTable, quoted

_END = 0.1  # share of the photos that are the darkest, the brightest ...
_FEWEST = 5  # photos of a value of a column

_CAVEAT = (
    "It goes with it, which does not make it the cause: what else do these photos have in common? The shape of a photo "
    "moves what it shows within a square input."
)


def correlate_findings(table: AuditTable, correlates: Sequence[Correlate]) -> list[Finding]:
    """A finding for each property that notably goes with something, told by what it goes with most.

    The strength is that of the correlate: the size of Spearman's rho, or eta. The baseline is what the classes of the
    same photos have on average, so that a property which only some classes have does not pass for a cause.
    """
    strongest: dict[str, list[Correlate]] = {}
    for found in sorted(correlates, key=lambda found: -abs(found.strength)):
        if found.is_notable:
            strongest.setdefault(found.covariate, []).append(found)
    tests = len(correlates)
    findings = [_finding(table, same, tests) for same in strongest.values()]
    return [found for found in findings if found is not None]


def _finding(table: AuditTable, correlates: Sequence[Correlate], tests: int) -> Finding | None:
    """None where no end of the property departs from the classes' average the way that the correlation does, or none
    by as much as one would see."""
    found = correlates[0]
    sql = COVARIATES.get(found.covariate)
    if sql is None:
        sql = f"TRY_CAST({quoted(found.covariate)} AS {'VARCHAR' if found.is_categorical else 'DOUBLE'})"
    look = LOOKS[found.look]
    columns = table.arrays(
        f"SELECT target_index, {sql} AS property, CAST({look} AS DOUBLE) AS look FROM statistics WHERE status IN "
        f"('OK', 'FLAT') AND {sql} IS NOT NULL AND {look} IS NOT NULL "
        f"ORDER BY hash(image_id), image_id, target_index LIMIT {SAMPLE}"
    )
    classes = np.unique(columns["target_index"], return_inverse=True)[1]
    looks = columns["look"].astype(np.float64)
    usual = (np.bincount(classes, weights=looks) / np.bincount(classes))[classes]
    group = (_widest_value if found.is_categorical else _end)(found, columns["property"], looks, usual, sql)
    if group is None:
        return None
    members, who, condition, parameters = group
    mean, baseline = float(looks[members].mean()), float(usual[members].mean())
    words = LOOK_WORDS[found.look]
    if abs(mean - baseline) < words.least:
        return None
    total, images = table.database.execute(
        f"SELECT count(DISTINCT image_id), count(DISTINCT image_id) FILTER ({condition}) FROM statistics "
        f"WHERE status IN ('OK', 'FLAT') AND {sql} IS NOT NULL AND {look} IS NOT NULL",
        parameters,
    ).fetchall()[0]
    numbers = f"{mean:.{words.digits}f} {words.unit} on average, usually {baseline:.{words.digits}f}"
    is_more = mean > baseline
    text = (
        f"On {images:,} of {photos(total)}, {who}, the model {words.more if is_more else words.less} than it usually "
        f"does on the same classes: {numbers}."
    )
    if found.is_categorical:
        test = f"F-test on ranks, classes apart (Kruskal and Wallis): eta {found.strength:.2f}"
    else:
        test = f"Spearman's rho, classes apart: {found.strength:+.2f}"
    test += (
        f" over {found.count:,} maps, {p_value(found.p_value)} after Holm over {tests:,} tests; it explains "
        f"{found.strength**2:.0%} of where the model looks."
    )
    others = [other.look for other in correlates[1:]]
    if others:
        test += f" It goes with {', '.join(others)} as well."
    return Finding(
        kind="correlate",
        text=text,
        numbers={
            "covariate": found.covariate,
            "look": found.look,
            "also": others,
            "strength": found.strength,
            "p_value": found.p_value,
            "mean": mean,
            "rest": baseline,
            "maps": found.count,
        },
        images=images,
        strength=min(1.0, abs(found.strength)),
        test=test,
        caveat=_CAVEAT,
        rows=Rows(condition, parameters, f"{look} {'DESC' if is_more else 'ASC'}, image_id"),
    )


_Group = tuple[np.ndarray, str, str, dict[str, Any]]  # rows, who they are, SQL condition, its parameters


def _end(found: Correlate, values: np.ndarray, looks: np.ndarray, usual: np.ndarray, sql: str) -> _Group | None:
    """The tenth of the photos with most or least of a number: the end that departs more, in the right direction."""
    values = values.astype(np.float64)
    low, high = ENDS.get(found.covariate, (None, None))
    best, departs = None, 0.0
    for is_high in (False, True):
        limit = float(np.quantile(values, 1 - _END if is_high else _END))
        members = values >= limit if is_high else values <= limit
        difference = float((looks[members] - usual[members]).mean()) * np.sign(found.strength) * (1 if is_high else -1)
        if difference > departs and not members.all():
            departs = difference
            word = high if is_high else low
            bound = f"{named(found.covariate)} {'at least' if is_high else 'at most'} {limit:.3g}"
            who = f"the {word} ({bound})" if word else f"those with {bound}"
            best = (members, who, f"{sql} {'>=' if is_high else '<='} $limit", {"limit": limit})
    return best


def _widest_value(
    found: Correlate, values: np.ndarray, looks: np.ndarray, usual: np.ndarray, sql: str
) -> _Group | None:
    """The photos with the value that departs most, each value weighed by the root of its photos."""
    texts = values.astype(str)
    best, departs = None, 0.0
    for value in np.unique(texts).tolist():
        members = texts == value
        difference = abs(float((looks[members] - usual[members]).mean())) * np.sqrt(members.sum())
        if members.sum() >= _FEWEST and difference > departs:
            departs = difference
            who = f"those whose {named(found.covariate)} is {named(value)}"
            best = (members, who, f"{sql} = $value", {"value": value})
    return best
