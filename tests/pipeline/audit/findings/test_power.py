import numpy as np
import pytest
from scipy import stats

from pipeline.audit.findings.power import POWER, detectable, least_correlation
from pipeline.audit.inputs.measures import Measure

BORDER = Measure("border_lift", "border", "border_lift", "", 1.0)


def is_flagged(own: np.ndarray, others: np.ndarray, tests: int) -> bool:
    """The rule of the audit, by SciPy."""
    p = stats.mannwhitneyu(own, others, alternative="greater", method="asymptotic").pvalue
    low = own.mean() - 1.96 * own.std(ddof=1) / np.sqrt(len(own))
    return p * tests < 0.01 and low >= max(1.5 * others.mean(), 1.0)


def power_of(share: float, values: np.ndarray, maps: int, level: float, tests: int) -> float:
    rng = np.random.default_rng(99)
    flagged = []
    for _ in range(200):
        own = rng.choice(values, maps)
        own[rng.random(maps) < share] = level
        flagged.append(is_flagged(own, values, tests))
    return float(np.mean(flagged))


def test_the_least_share_is_found_with_a_chance_of_80_percent_and_less_is_not():
    values = np.random.default_rng(0).lognormal(-0.3, 0.5, 500)
    found = detectable(BORDER, values, 40, 30)
    assert found.level == pytest.approx(np.quantile(values, 0.99))
    assert 0.1 < found.share < 0.9
    assert power_of(found.share, values, 40, found.level, 30) >= POWER - 0.08
    assert power_of(found.share - 0.1, values, 40, found.level, 30) < POWER


def test_where_the_strongest_maps_are_not_much_stronger_nothing_would_be_seen():
    values = np.random.default_rng(0).uniform(0.9, 1.1, 500)
    assert detectable(BORDER, values, 40, 30).share is None


def test_more_maps_need_a_smaller_share():
    values = np.random.default_rng(0).lognormal(-0.3, 0.5, 2000)
    assert detectable(BORDER, values, 500, 30).share < detectable(BORDER, values, 20, 30).share


def test_the_least_correlation_is_significant_four_times_out_of_five():
    count, tests = 200, 50
    rho = least_correlation(count, tests)
    rng = np.random.default_rng(3)
    x, noise = rng.normal(size=(2, 400, count))
    y = rho * x + np.sqrt(1 - rho**2) * noise
    p = [stats.pearsonr(a, b).pvalue for a, b in zip(x, y, strict=True)]
    assert np.mean(np.array(p) * tests < 0.01) == pytest.approx(POWER, abs=0.06)
    assert least_correlation(10**6, tests) == 0.1
