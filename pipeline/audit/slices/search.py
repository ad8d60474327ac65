"""SliceLine: the slices of at most three conditions with the highest score, found without looking at most of them.

Sagadeeva and Boehm (SIGMOD 2021). With errors e of n images, a slice S of size |S| scores

    s(S) = a ((mean of e over S) / (mean of e) - 1) - (1 - a) (n / |S| - 1)

so that a large slice with somewhat more errors can beat a tiny one with many. What a slice can still become when
conditions are added is bounded by its parents: the smallest of their sizes and of their sums and maxima of errors.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

MOST_CONDITIONS = 3
_ALPHA = 0.99  # in the range of the paper; at 0.95 a slice of 1 % of the images never scores above 0


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A slice, by the places of its conditions."""

    conditions: tuple[int, ...]
    score: float
    images: int


def search_slices(
    holds: np.ndarray, columns: np.ndarray, errors: np.ndarray, fewest: int, most: int
) -> list[Candidate]:
    """The ``most`` slices with the highest score above 0, the best first.

    Args:
        holds: bool ``[N, m]``: which condition holds for which image.
        columns: int ``[m]``: the column that each condition is about; a slice has one condition of a column at most.
        errors: float64 ``[N]``, 0 or more.
        fewest: images that a slice must have.
    """
    total, mean = len(errors), float(errors.mean()) if len(errors) else 0.0
    if mean <= 0:
        return []
    x = holds.astype(np.float32)
    weighted = x * errors[:, None].astype(np.float32)
    sizes, sums = x.sum(axis=0, dtype=np.float64), weighted.sum(axis=0, dtype=np.float64)
    highest = np.array([errors[column].max() if column.any() else 0.0 for column in holds.T])
    best: list[Candidate] = []

    def keep(conditions: Sequence[tuple[int, ...]], size: np.ndarray, total_error: np.ndarray) -> None:
        fits = np.flatnonzero((size >= fewest) & (total_error > 0))
        scores = _score(total_error[fits], size[fits], total, mean)
        found = [
            Candidate(conditions[place], float(score), int(size[place]))
            for place, score in zip(fits.tolist(), scores.tolist(), strict=True)
            if score > 0
        ]
        best[:] = sorted([*best, *found], key=lambda each: (-each.score, each.conditions))[:most]

    def promising(size: np.ndarray, total_error: np.ndarray, top: np.ndarray) -> np.ndarray:
        least = best[-1].score if len(best) == most else 0.0
        return (size >= fewest) & (_bound(size, total_error, top, total, mean, fewest) > least)

    keep([(place,) for place in range(holds.shape[1])], sizes, sums)
    usable = np.flatnonzero((sizes >= fewest) & (sums > 0))
    a, b = (usable[side] for side in np.triu_indices(len(usable), 1))
    differ = columns[a] != columns[b]
    a, b = a[differ], b[differ]
    likely = promising(np.minimum(sizes[a], sizes[b]), np.minimum(sums[a], sums[b]), np.minimum(highest[a], highest[b]))
    a, b = a[likely], b[likely]
    if not len(a):
        return best
    both, both_sums = (x.T @ x)[a, b].astype(np.float64), (x.T @ weighted)[a, b].astype(np.float64)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    keep(pairs, both, both_sums)
    known = {
        pair: (size, error)
        for pair, size, error in zip(pairs, both.tolist(), both_sums.tolist(), strict=True)
        if size >= fewest and error > 0
    }
    for (first, second), thirds in _triples(known):
        parents = [[known[pair] for pair in itertools.combinations((first, second, third), 2)] for third in thirds]
        bounds = np.array(parents).min(axis=1)
        top = np.minimum(min(highest[first], highest[second]), highest[thirds])
        chosen = np.array(thirds)[promising(bounds[:, 0], bounds[:, 1], top)]
        if len(chosen):
            inside = holds[:, first] & holds[:, second]
            made = [(first, second, int(third)) for third in chosen]
            keep(made, x[inside][:, chosen].sum(axis=0, dtype=np.float64),
                 weighted[inside][:, chosen].sum(axis=0, dtype=np.float64))  # fmt: skip
    return best


def _triples(pairs: dict[tuple[int, int], tuple[float, float]]) -> list[tuple[tuple[int, int], list[int]]]:
    """Each pair with the later conditions that are in pairs with both of its own."""
    partners: dict[int, set[int]] = {}
    for first, second in pairs:
        partners.setdefault(first, set()).add(second)
    found = []
    for first, second in pairs:
        thirds = sorted(partners[first] & partners.get(second, set()))
        if thirds:
            found.append(((first, second), thirds))
    return found


def _score(sums: np.ndarray, sizes: np.ndarray, total: int, mean: float) -> np.ndarray:
    return _ALPHA * (sums / sizes / mean - 1) - (1 - _ALPHA) * (total / sizes - 1)


def _bound(sizes: np.ndarray, sums: np.ndarray, top: np.ndarray, total: int, mean: float, fewest: int) -> np.ndarray:
    """The highest score of any part, of ``fewest`` images or more, of slices of which the parents are so large."""
    steepest = np.divide(sums, top, out=np.full(sums.shape, float(fewest)), where=top > 0)  # here the sum is used up
    candidates = [np.full(sizes.shape, float(fewest)), np.clip(steepest, fewest, np.maximum(sizes, fewest)), sizes]
    scores = [_score(np.minimum(size * top, sums), size, total, mean) for size in map(_at_least_one, candidates)]
    return np.max(scores, axis=0)


def _at_least_one(sizes: np.ndarray) -> np.ndarray:
    return np.maximum(sizes, 1.0)
