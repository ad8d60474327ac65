import itertools

import numpy as np
import pytest

from pipeline.audit.slices.search import search_slices


def every_slice(holds, columns, errors, fewest, most):
    """All slices of up to three conditions, one by one."""
    found = []
    for size in (1, 2, 3):
        for places in itertools.combinations(range(holds.shape[1]), size):
            inside = holds[:, list(places)].all(axis=1)
            if len({columns[place] for place in places}) < size or inside.sum() < fewest or errors[inside].sum() <= 0:
                continue
            score = 0.99 * (errors[inside].mean() / errors.mean() - 1) - 0.01 * (len(errors) / inside.sum() - 1)
            if score > 0:
                found.append((score, places))
    return sorted(found, key=lambda each: (-each[0], each[1]))[:most]


@pytest.mark.parametrize("seed", range(8))
def test_the_search_finds_what_looking_at_every_slice_finds(seed):
    rng = np.random.default_rng(seed)
    columns = np.repeat(np.arange(5), 3)
    values = rng.integers(0, 3, (400, 5))
    holds = np.concatenate([values[:, [column]] == np.arange(3) for column in range(5)], axis=1)
    errors = (rng.random(400) < 0.15 + 0.5 * holds[:, [1, 4]].all(axis=1)).astype(float)
    if seed % 2:
        errors = rng.beta(1, 4, 400) + 0.4 * holds[:, [1, 4, 6]].all(axis=1)  # not only right and wrong
    found = search_slices(holds, columns, errors, 10, 6)
    wanted = every_slice(holds, columns, errors, 10, 6)
    assert len(wanted) >= 3
    assert [each.conditions for each in found] == [places for _, places in wanted]
    np.testing.assert_allclose([each.score for each in found], [score for score, _ in wanted], rtol=1e-5)
    assert found[0].images == holds[:, list(found[0].conditions)].all(axis=1).sum()


def test_where_nothing_is_wrong_there_is_no_slice():
    assert search_slices(np.ones((50, 2), bool), np.array([0, 1]), np.zeros(50), 5, 5) == []
