"""Means with intervals, and which group stands out from the others. Pure numpy and SciPy."""

import dataclasses

import numpy as np
from scipy import stats

RESAMPLES = 1000
LEVEL = 0.95
_LARGE = 256  # values; from here on the mean is as good as normal, and resampling would cost time for nothing
_FEWEST = 5  # values; with fewer, resampling them says nothing about the population


@dataclasses.dataclass(frozen=True, eq=False)
class Means:
    """Means of G groups in k columns: all float64 ``[G, k]``, NaN where a group has no value."""

    count: np.ndarray  # values that are not NaN
    mean: np.ndarray
    low: np.ndarray  # of the 95 % interval; NaN below five values
    high: np.ndarray

    def column(self, position: int) -> "Means":
        return Means(*(getattr(self, field.name)[:, position] for field in dataclasses.fields(self)))


def group_means(values: np.ndarray, groups: np.ndarray, count: int, seed: int = 0) -> Means:
    """The mean of each column in each group, with a bootstrap interval.

    Percentile bootstrap over the rows (Efron 1979), all columns resampled together; the normal interval, which is what
    the bootstrap comes to, for groups of more than 256 rows.

    Args:
        values: float64 ``[N, k]``; NaN is left out.
        groups: int ``[N]``, 0..count-1.
        count: number of groups, G.
        seed: of the resampling.
    """
    shape = (count, values.shape[1])
    means = Means(np.zeros(shape), *(np.full(shape, np.nan) for _ in range(3)))
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(count + 1))
    for group in range(count):
        rows = values[order[bounds[group] : bounds[group + 1]]]
        present = ~np.isnan(rows)
        number = present.sum(axis=0)
        means.count[group] = number
        known = number > 0
        means.mean[group, known] = np.where(present, rows, 0.0).sum(axis=0)[known] / number[known]
        spans = _interval(rows, present, np.random.default_rng((seed, group)))
        means.low[group], means.high[group] = np.where(number >= _FEWEST, spans, np.nan)
    return means


def _interval(rows: np.ndarray, present: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ends of the interval of each column, ``[2, k]``."""
    number = present.sum(axis=0)
    filled = np.where(present, rows, 0.0)
    safe = np.maximum(number, 1)
    if len(rows) > _LARGE:
        mean = filled.sum(axis=0) / safe
        variance = (np.where(present, rows - mean, 0.0) ** 2).sum(axis=0) / np.maximum(number - 1, 1)
        reach = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance / safe)
        return np.stack([mean - reach, mean + reach])
    if len(rows) == 0:
        return np.full((2, rows.shape[1]), np.nan)
    drawn = rng.integers(0, len(rows), (RESAMPLES, len(rows)))
    drawn += np.arange(RESAMPLES)[:, None] * len(rows)
    times = np.bincount(drawn.ravel(), minlength=RESAMPLES * len(rows)).reshape(RESAMPLES, len(rows)).astype(np.float64)
    numbers = times @ present
    means = np.divide(times @ filled, numbers, out=np.full(numbers.shape, np.nan), where=numbers > 0)
    ends = np.full((2, rows.shape[1]), np.nan)
    known = number > 0
    ends[:, known] = np.nanquantile(means[:, known], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return ends


def larger_than_rest(
    values: np.ndarray, groups: np.ndarray, count: int, two_sided: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """For each group: is it larger than all others together (or other than they, where the test is two-sided), and the
    mean of those others.

    The rank-sum test of Mann and Whitney (1947), normal approximation with the correction for ties: it asks
    nothing of the shape of the distribution. NaN is left out.

    Returns:
        p-values and means of the rest, float64 ``[count]``; NaN where the group or the rest is empty.
    """
    known = ~np.isnan(values)
    values, groups = values[known], groups[known]
    total = len(values)
    sizes = np.bincount(groups, minlength=count).astype(np.float64)
    rest = total - sizes
    testable = (sizes > 0) & (rest > 0)
    p_values, rest_means = np.full(count, np.nan), np.full(count, np.nan)
    if not testable.any():
        return p_values, rest_means
    sums = np.bincount(groups, weights=values, minlength=count)
    rest_means[testable] = (values.sum() - sums[testable]) / rest[testable]
    ranks = stats.rankdata(values)
    ties = np.unique(values, return_counts=True)[1].astype(np.float64)
    spread = (total + 1 - (ties**3 - ties).sum() / (total * (total - 1))) / 12
    if spread <= 0:  # all values are equal: nothing stands out
        p_values[testable] = 1.0
        return p_values, rest_means
    rank_sums = np.bincount(groups, weights=ranks, minlength=count)
    above = rank_sums - sizes * (total + 1) / 2
    above = (np.abs(above) if two_sided else above) - 0.5  # continuity
    one_sided = stats.norm.sf(above[testable] / np.sqrt(sizes[testable] * rest[testable] * spread))
    p_values[testable] = np.minimum(2 * one_sided, 1) if two_sided else one_sided
    return p_values, rest_means


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values adjusted for being many (Holm 1979): below 5 %, the chance of even one false alarm is below 5 %.

    NaN stays and does not count as a test.
    """
    adjusted = np.full(p_values.shape, np.nan)
    known = ~np.isnan(p_values)
    found = p_values[known]
    order = np.argsort(found)
    steps = np.maximum.accumulate(found[order] * (len(found) - np.arange(len(found))))
    result = np.empty(len(found))
    result[order] = np.minimum(steps, 1.0)
    adjusted[known] = result
    return adjusted
