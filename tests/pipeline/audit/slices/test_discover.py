import hashlib

import numpy as np
import pytest

from pipeline.audit.slices.discover import discover
from pipeline.audit.slices.features import Features

VALUES = {"site": 3, "level": 4, "camera": 4}
PLANTED = [1, 3]  # the places of site = 1 and level = 0


def images(seed: int, count: int, planted: bool, mass: bool = False) -> Features:
    """Three properties by chance; planted: photos of site 1 at level 0 are wrong far more often than the others."""
    rng = np.random.default_rng(seed)
    holds, words, columns = [], [], []
    for column, (name, most) in enumerate(VALUES.items()):
        kinds = rng.integers(0, most, count)
        for value in range(most):
            holds.append(kinds == value)
            words.append(f"{name} = {value}")
            columns.append(column)
    conditions = np.stack(holds, axis=1)
    is_in = planted & conditions[:, PLANTED].all(axis=1)
    unknown = np.full(count, np.nan)
    wrong, off = (rng.random(count) < np.where(is_in, 0.6, 0.15)).astype(float), unknown
    if mass:
        wrong, off = unknown, np.clip(rng.beta(0.3, 1, count) + 0.5 * is_in, 0, 1)
    ids = [hashlib.blake2b(f"{seed}-{number}".encode(), digest_size=16).hexdigest() for number in range(count)]
    return Features(np.array(ids, object), conditions, np.array(columns), tuple(words), wrong, off)


@pytest.mark.parametrize("mass", [False, True])
def test_a_planted_slice_is_found(mass):
    for seed in range(10):
        features = images(seed, 1000, planted=True, mass=mass)
        best = discover(features).found[0]
        assert set(best.conditions) == {"site = 1", "level = 0"}
        inside = features.holds[:, PLANTED].all(axis=1)
        assert sorted(best.members) == sorted(features.ids[inside])
        errors = features.off_object if mass else features.is_wrong
        confirming = np.array([int(each[0], 16) % 2 == 1 for each in features.ids])
        assert best.mean == pytest.approx(errors[confirming & inside].mean())
        assert best.rest == pytest.approx(errors[confirming & ~inside].mean())
        assert best.confirmed_on == (confirming & inside).sum()
        assert best.what == ("off_object" if mass else "wrong")


def test_what_holds_a_better_slice_is_not_found_for_that_alone():
    for seed in range(10):
        found = discover(images(seed, 4000, planted=True)).found
        assert [set(each.conditions) for each in found] == [{"site = 1", "level = 0"}]


@pytest.mark.parametrize("mass", [False, True])
def test_where_nothing_is_planted_less_than_5_percent_of_all_runs_find_anything(mass):
    found = [discover(images(seed, 600, planted=False, mass=mass)) for seed in range(1000, 1300)]
    assert np.mean([each.tested for each in found]) > 1  # there was something to be fooled by
    # At most 21 of 300 in 95 % of all cases, where each has a chance of 5 %.
    assert sum(bool(each.found) for each in found) <= 21


def test_too_few_images_are_not_searched():
    found = discover(images(0, 40, planted=True))
    assert (found.found, found.tested) == ((), 0)
