import numpy as np
import pytest
from scipy import stats

from pipeline.audit.analysis.intervals import group_means, holm, larger_than_rest


def test_means_of_groups_leave_out_nan_and_columns_are_apart():
    values = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 7.0], [10.0, np.nan]])
    means = group_means(values, np.array([0, 0, 0, 1]), 3)
    assert means.count.tolist() == [[2, 2], [1, 0], [0, 0]]
    np.testing.assert_array_equal(means.mean, [[2, 6], [10, np.nan], [np.nan, np.nan]])
    assert np.isnan(means.low).all()  # fewer than five values say nothing about the population


def test_the_bootstrap_interval_is_that_of_a_plain_loop():
    rng = np.random.default_rng(5)
    values = rng.exponential(size=40)
    means = group_means(values[:, None], np.zeros(40, int), 1)
    slow = [rng.choice(values, 40).mean() for _ in range(20_000)]
    assert means.mean[0, 0] == pytest.approx(values.mean())
    assert [means.low[0, 0], means.high[0, 0]] == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.05)


def test_a_large_group_has_the_normal_interval_which_is_close_to_the_bootstrap():
    values = np.random.default_rng(6).exponential(size=1000)
    means = group_means(values[:, None], np.zeros(1000, int), 1)
    reach = 1.959964 * values.std(ddof=1) / np.sqrt(1000)
    assert [means.low[0, 0], means.high[0, 0]] == pytest.approx(
        [values.mean() - reach, values.mean() + reach], rel=1e-6
    )


def test_the_interval_of_a_group_does_not_depend_on_the_others():
    rng = np.random.default_rng(7)
    own, others = rng.normal(size=(30, 1)), rng.normal(size=(50, 1))
    alone = group_means(own, np.zeros(30, int), 1)
    among = group_means(np.concatenate([others, own]), np.repeat([1, 0], [50, 30]), 2)
    assert (alone.low[0, 0], alone.high[0, 0]) == (among.low[0, 0], among.high[0, 0])


def test_the_rank_sum_test_is_that_of_scipy_also_with_ties():
    rng = np.random.default_rng(8)
    values = np.round(rng.normal(size=60), 1)
    groups = rng.integers(0, 3, 60)
    values[groups == 1] += 0.5
    p_values, rest = larger_than_rest(np.append(values, np.nan), np.append(groups, 0), 4)
    for group in range(3):
        own, others = values[groups == group], values[groups != group]
        wanted = stats.mannwhitneyu(own, others, alternative="greater", method="asymptotic").pvalue
        assert p_values[group] == pytest.approx(wanted, rel=1e-9)
        assert rest[group] == pytest.approx(others.mean())
    assert np.isnan([p_values[3], rest[3]]).all()


def test_equal_values_do_not_stand_out_and_one_class_has_no_others():
    p_values, _ = larger_than_rest(np.ones(6), np.array([0, 0, 0, 1, 1, 1]), 2)
    assert p_values.tolist() == [1, 1]
    p_values, rest = larger_than_rest(np.arange(6.0), np.zeros(6, int), 1)
    assert np.isnan(p_values).all()
    assert np.isnan(rest).all()


def test_holm_by_hand():
    adjusted = holm(np.array([[0.01, np.nan], [0.04, 0.03]]))
    np.testing.assert_allclose(adjusted, [[0.03, np.nan], [0.06, 0.06]])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]


def test_false_alarms_over_many_classes_are_as_rare_as_promised():
    """50 classes without any difference: below 5 % after Holm, hardly any of 40 data sets may raise an alarm."""
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(40):
        p_values, _ = larger_than_rest(rng.exponential(size=1000), np.arange(1000) % 50, 50)
        alarms += bool((holm(p_values) < 0.05).any())
    assert alarms <= 6  # P(more | 5 %) < 0.4 %
