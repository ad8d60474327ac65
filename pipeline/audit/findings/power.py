"""What would have been seen, had it been there: without that, "nothing stands out" says nothing."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

from pipeline.audit.analysis import FEWEST_MAPS, LEAST_CORRELATION, LEAST_RATIO, SIGNIFICANCE, ClassAudit, Correlate
from pipeline.audit.findings.words import amount, photos, place_of
from pipeline.audit.inputs import AuditTable, Measure

POWER = 0.8
_RARE = 0.99  # quantile of all maps: what counts as strong
_SIMULATIONS = 400
_MOST_OTHERS = 20_000  # maps of other classes that are drawn from
_MOST_MAPS = 2000  # of the class that is made up: with more, less is enough
_STEP = 0.05  # of the share
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Detectable:
    """The least that would have been found with a chance of 80 %."""

    measure: str
    maps: int  # of the class: the median of those that were tested
    level: float  # what the strong maps have
    share: float | None  # of its maps; None: not even all would be enough


def what_would_be_seen(table: AuditTable, audit: ClassAudit, correlates: Sequence[Correlate]) -> list[str]:
    """Sentences, each for a kind of finding."""
    tested = audit.rows[audit.rows >= FEWEST_MAPS]
    tests = int((~np.isnan(audit.p_values)).sum())
    if not tests:
        said = [f"Classes were not tested: it takes two classes, and one of them with {FEWEST_MAPS} maps or more."]
    else:
        size = int(np.median(tested))
        measures = [measure for measure in audit.measures if measure.alarm is not None]
        found = [detectable(measure, _all_values(table, measure), size, tests) for measure in measures]
        said = [_class_sentence(each) for each in found]
    counts = [correlate.count for correlate in correlates]
    if not counts:
        return [*said, "Properties of the photos were not tested: there are too few maps, or the photos are too alike."]
    least = least_correlation(int(np.median(counts)), len(correlates))
    return [
        *said,
        f"A property of the photos whose rank correlation with where the model looks is {least:.2f} or more, over "
        f"{int(np.median(counts)):,} maps.",
    ]


def detectable(measure: Measure, values: np.ndarray, maps: int, tests: int) -> Detectable:
    """The smallest share of a class's maps that, as strong as 1 % of all maps are, makes the class stand out.

    Simulated: the other maps of the class are drawn from all maps, and the class is held to the rule of
    ``audit_classes``, with the normal interval.

    Args:
        values: of all maps, float64 ``[N]`` without NaN.
        maps: of the class that is made up.
        tests: that Holm's correction is for; the strictest of its steps counts.
    """
    rng = np.random.default_rng(_SEED)
    others = np.sort(values if len(values) <= _MOST_OTHERS else rng.choice(values, _MOST_OTHERS, replace=False))
    level = float(np.quantile(values, _RARE))
    simulated = min(maps, _MOST_MAPS)
    usual = rng.choice(others, (_SIMULATIONS, simulated))
    order = rng.random((_SIMULATIONS, simulated))
    least = max(LEAST_RATIO * float(others.mean()), measure.alarm or 0.0)
    for share in np.arange(1, round(1 / _STEP) + 1) * _STEP:
        drawn = np.where(order < share, level, usual)
        if np.mean(_stands_out(drawn, others, tests, least)) >= POWER:
            return Detectable(measure.name, maps, level, float(share))
    return Detectable(measure.name, maps, level, None)


def least_correlation(count: int, tests: int) -> float:
    """The rank correlation that is notable with a chance of 80 %: Fisher's z, two-sided, after Bonferroni."""
    needed = stats.norm.isf(SIGNIFICANCE / (2 * tests)) + stats.norm.ppf(POWER)
    return max(LEAST_CORRELATION, float(np.tanh(needed / np.sqrt(max(count - 3, 1)))))


def _stands_out(drawn: np.ndarray, others: np.ndarray, tests: int, least: float) -> np.ndarray:
    """Which of the classes ``[S, n]`` are flagged against the others, ``[m]`` in order."""
    n, m = drawn.shape[1], len(others)
    wins = (np.searchsorted(others, drawn, "left") + np.searchsorted(others, drawn, "right")).sum(axis=1) / 2
    p_values = stats.norm.sf((wins - n * m / 2 - 0.5) / np.sqrt(n * m * (n + m + 1) / 12))
    low = drawn.mean(axis=1) - stats.norm.ppf(0.975) * drawn.std(axis=1, ddof=1) / np.sqrt(n)
    return (p_values * tests < SIGNIFICANCE) & (low >= least)


def _class_sentence(found: Detectable) -> str:
    level = amount(found.measure, found.level)
    what = f"looks at {place_of(found.measure)} as only 1 % of all photos make it look ({level})"
    if found.share is None:
        return (
            f"Not seen: a class of {photos(found.maps)} on which the model {what}, even on every one of them: more is "
            "needed to be 1.5 times the others."
        )
    count = max(1, round(found.share * found.maps))
    return f"A class of {photos(found.maps)} on {count:,} of which the model {what}."


def _all_values(table: AuditTable, measure: Measure) -> np.ndarray:
    found = table.arrays(
        f"SELECT CAST({measure.sql} AS DOUBLE) AS value FROM statistics WHERE status IN ('OK', 'ZERO', 'FLAT') AND "
        f"{measure.sql} IS NOT NULL ORDER BY image_id, target_index"
    )
    return found["value"].astype(np.float64)
