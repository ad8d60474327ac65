"""Slices that nobody named: searched for on one half of the images, confirmed on the other."""

import dataclasses
from typing import Literal

import numpy as np
from scipy import stats

from pipeline.audit.analysis import holm, larger_than_rest
from pipeline.audit.inputs import AuditTable
from pipeline.audit.slices.features import Features, read_features
from pipeline.audit.slices.search import Candidate, search_slices

ALPHA = 0.05  # the chance that anything at all is reported where there is nothing
_FEWEST = 16  # images of a slice in the half that is searched
_LEAST_SHARE = 0.01  # of that half
_FEWEST_CONFIRMING = 8
_SEARCHED = 50  # the best slices, of which many are almost the same
_TESTED = 5  # of them, unlike each other
_ALIKE = 0.5  # Jaccard index of two slices that count as one

What = Literal["wrong", "off_object"]


@dataclasses.dataclass(frozen=True, eq=False)
class FoundSlice:
    """A slice that has more errors, or looks beside the object more, than the other images."""

    what: What
    conditions: tuple[str, ...]
    members: tuple[str, ...]  # image ids, of both halves
    mean: float  # of the confirming half: share of wrong images, or mean mass off the object
    rest: float  # the same of the other images of that half
    confirmed_on: int  # images of the slice in that half
    p_value: float  # adjusted over everything that was tested
    strength: float  # 0..1: Cliff's delta, which for right and wrong is the difference of the shares


@dataclasses.dataclass(frozen=True)
class Discovery:
    """What was searched, and what came of it."""

    found: tuple[FoundSlice, ...]
    images: int
    conditions: int
    tested: int


def find_slices(table: AuditTable) -> Discovery:
    """Slices with more wrong predictions, where there are labels, or with more mass off the object, where there are
    boxes."""
    return discover(read_features(table))


def discover(features: Features) -> Discovery:
    """Search on the images whose id, a hash, has an even first digit; test the best slices on the others.

    The test knows nothing of the search, so Holm's correction over the slices that are tested is all it needs: the
    chance of any false slice is 5 %. Exact (hypergeometric) for right and wrong, the rank-sum test for mass.
    """
    searched = np.array([int(image_id[0], 16) % 2 == 0 for image_id in features.ids], bool)
    tests: list[tuple[FoundSlice, Candidate, np.ndarray, np.ndarray]] = []
    for what, errors in (("wrong", features.is_wrong), ("off_object", features.off_object)):
        known = ~np.isnan(errors)
        half, other = known & searched, known & ~searched
        if min(half.sum(), other.sum()) < 2 * _FEWEST or np.ptp(errors[known]) == 0:
            continue
        fewest = max(_FEWEST, int(_LEAST_SHARE * half.sum()))
        candidates = search_slices(features.holds[half], features.columns, errors[half], fewest, _SEARCHED)
        for candidate in _unlike(candidates, features.holds[half], errors[half]):
            tested = _tested(features, candidate, errors, known, other, what)  # type: ignore[arg-type]
            if tested is not None:
                tests.append((tested, candidate, errors, other))
    adjusted = holm(np.array([each.p_value for each, *_ in tests]))
    kept: list[FoundSlice] = []
    explained = {what: np.zeros(len(features.ids), bool) for what in ("wrong", "off_object")}
    for (each, candidate, errors, other), p in zip(tests, adjusted.tolist(), strict=True):
        if not (p < ALPHA and each.mean > each.rest):
            continue
        # What holds a better slice, or overlaps with one, has its errors, too: it must be worse without them.
        known = ~np.isnan(errors) & ~explained[each.what]
        alone = _tested(features, candidate, errors, known, other & known, each.what)
        if alone is not None and alone.p_value < ALPHA and alone.mean > alone.rest:
            kept.append(dataclasses.replace(each, p_value=p))
            explained[each.what] |= features.holds[:, list(candidate.conditions)].all(axis=1)
    return Discovery(tuple(kept), len(features.ids), len(features.words), len(tests))


def _unlike(candidates: list[Candidate], holds: np.ndarray, errors: np.ndarray) -> list[Candidate]:
    """The slices that are most surely worse, without those that are almost one of them.

    By how many standard errors: the score alone would prefer a part of a slice that happens to have a few more errors.
    """

    def evidence(candidate: Candidate) -> float:
        inside = errors[holds[:, list(candidate.conditions)].all(axis=1)]
        return float(inside.mean() - errors.mean()) * len(inside) ** 0.5

    kept: list[tuple[Candidate, np.ndarray]] = []
    for candidate in sorted(candidates, key=evidence, reverse=True):
        members = np.asarray(holds[:, list(candidate.conditions)].all(axis=1))
        if all((members & other).sum() <= _ALIKE * (members | other).sum() for _, other in kept):
            kept.append((candidate, members))
        if len(kept) == _TESTED:
            break
    return [candidate for candidate, _ in kept]


def _tested(
    features: Features, candidate: Candidate, errors: np.ndarray, known: np.ndarray, other: np.ndarray, what: What
) -> FoundSlice | None:
    members = features.holds[:, list(candidate.conditions)].all(axis=1)
    inside, outside = errors[other & members], errors[other & ~members]
    if min(len(inside), len(outside)) < _FEWEST_CONFIRMING:
        return None
    if what == "wrong":
        total, wrong = len(inside) + len(outside), int(inside.sum() + outside.sum())
        p_value = float(stats.hypergeom.sf(int(inside.sum()) - 1, total, wrong, len(inside)))
        strength = float(inside.mean() - outside.mean())
    else:
        values = np.concatenate([inside, outside])
        groups = np.repeat([0, 1], [len(inside), len(outside)])
        p_value = float(larger_than_rest(values, groups, 2)[0][0])
        ranks = stats.rankdata(values)[: len(inside)].sum() - len(inside) * (len(inside) + 1) / 2
        strength = float(2 * ranks / (len(inside) * len(outside)) - 1)
    return FoundSlice(
        what=what,
        conditions=tuple(features.words[place] for place in candidate.conditions),
        members=tuple(features.ids[known & members].tolist()),
        mean=float(inside.mean()),
        rest=float(outside.mean()),
        confirmed_on=len(inside),
        p_value=p_value,
        strength=strength,
    )
