"""What neighbours say of an image: is its label wrong, is it unlike all others?"""

import dataclasses

import numpy as np

from pipeline.audit.neighbours.search import Nearest

VOTERS = 10
_FEWEST_VOTERS = 3
_SHARPNESS = 10.0  # a neighbour that is 0.1 farther counts 1/e as much
FENCE = 2.0  # times the distance between the quartiles
_LEAST_SPREAD = 0.02  # between the quartiles: below, images are as good as evenly spread
_NOTHING_IN_COMMON = 1e-3  # cosine
_FEWEST_FOR_FENCE = 20


@dataclasses.dataclass(frozen=True, eq=False)
class Votes:
    """Of each image, what share of its labelled neighbours' votes each of two classes has; NaN without enough."""

    label: np.ndarray  # float32 [N], for the image's own label
    predicted: np.ndarray  # float32 [N], for the class that the model predicts
    most: np.ndarray  # float32 [N], for the class that has most


def others_only(nearest: Nearest, groups: np.ndarray) -> Nearest:
    """Without neighbours that are the image itself once more: those of its group of duplicates."""
    own = np.where(groups < 0, -1 - np.arange(len(groups)), groups)  # who is alone has a group of its own
    same = (own[:, None] == own[np.maximum(nearest.places, 0)]) | (nearest.places < 0)
    distances = np.where(same, np.inf, nearest.distances).astype(np.float32)
    order = np.argsort(distances, axis=1, kind="stable")
    places = np.where(same, -1, nearest.places)
    return Nearest(
        np.take_along_axis(places, order, axis=1), np.take_along_axis(distances, order, axis=1), nearest.is_exact
    )


def vote(nearest: Nearest, labels: np.ndarray, predicted: np.ndarray) -> Votes:
    """The votes of the ten nearest that have labels, those that are nearer counting more.

    Args:
        nearest: without the duplicates of an image.
        labels: int ``[N]``, -1 without one.
        predicted: int ``[N]``, -1 where there is none.
    """
    has_label = (nearest.places >= 0) & (labels[np.maximum(nearest.places, 0)] >= 0)
    counted = has_label & (np.cumsum(has_label, axis=1) <= VOTERS)
    first = np.min(np.where(counted, nearest.distances, np.inf), axis=1, initial=np.inf)
    with np.errstate(invalid="ignore"):
        weights = np.where(counted, np.exp(-_SHARPNESS * (nearest.distances - first[:, None])), 0.0)
    voted = np.where(counted, labels[np.maximum(nearest.places, 0)], -1)
    total = weights.sum(axis=1)
    enough = counted.sum(axis=1) >= _FEWEST_VOTERS

    def share(classes: np.ndarray) -> np.ndarray:
        won = (weights * (voted == classes[:, None])).sum(axis=1)
        return np.where(enough & (classes >= 0), won / np.maximum(total, 1e-30), np.nan).astype(np.float32)

    most = np.full(len(labels), -np.inf, np.float32)
    for column in range(voted.shape[1]):
        most = np.fmax(most, share(voted[:, column]))
    return Votes(share(labels), share(predicted), np.where(np.isfinite(most), most, np.nan))


def label_candidates(votes: Votes, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Images whose label is perhaps wrong, bool ``[N]``.

    No class has more of the neighbours' votes than the one that the model predicts; it is not the label, and it has at
    least twice as many votes as the label.
    """
    known = (labels >= 0) & (predicted >= 0) & (labels != predicted)
    with np.errstate(invalid="ignore"):
        return known & (votes.predicted >= votes.most - 1e-6) & (votes.predicted >= 2 * votes.label)


def outlier_scores(nearest: Nearest) -> np.ndarray:
    """How far an image is from its five nearest, over the median of all: 1 is usual. NaN without neighbours."""
    far = _distance_of_five(nearest)
    middle = np.nanmedian(far) if np.isfinite(far).any() else np.nan
    return (far / middle if middle > 0 else np.full(len(far), np.nan)).astype(np.float32)


def are_outliers(nearest: Nearest) -> np.ndarray:
    """Images that have much less in common with their five nearest than others have, bool ``[N]``; none of less
    than twenty.

    The logarithm of the mean cosine lies two times the distance of the quartiles, or more, below the lower: of a normal
    distribution 0.04 %. Of the cosine, since a distance has an end where two images have nothing in common at all.
    """
    similar = np.log(np.maximum(1 - _distance_of_five(nearest), _NOTHING_IN_COMMON))
    known = similar[~np.isnan(similar)]
    if len(known) < _FEWEST_FOR_FENCE:
        return np.zeros(len(similar), bool)
    low, high = np.quantile(known, [0.25, 0.75])
    with np.errstate(invalid="ignore"):
        return similar < low - FENCE * max(high - low, _LEAST_SPREAD)


def _distance_of_five(nearest: Nearest) -> np.ndarray:
    """The mean distance of the five nearest, float64 ``[N]``."""
    known = np.where(np.isfinite(nearest.distances), nearest.distances, np.nan)[:, :5].astype(np.float64)
    counts = (~np.isnan(known)).sum(axis=1)
    return np.where(counts > 0, np.nansum(known, axis=1) / np.maximum(counts, 1), np.nan)
