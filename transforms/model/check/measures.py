"""Probabilities of a few images -> how well they suit the model. Pure numpy."""

import numpy as np
from scipy.stats import binomtest


def mutual_information(probabilities: np.ndarray, each_class_alone: bool = False) -> float:
    """H(mean p) - mean H(p) of ``[N, C]``, in nats: 0 where every image gets the same scores, or where none is sure.

    Args:
        each_class_alone: the classes do not exclude each other: the mean over those of a yes or no each.
    """
    p = np.clip(probabilities.astype(np.float64), 0, 1)
    if each_class_alone:
        return float(np.mean(_yes_or_no(p.mean(axis=0)) - _yes_or_no(p).mean(axis=0)))
    return float(_entropy(p.mean(axis=0)) - _entropy(p).mean())


def spread(predicted: np.ndarray) -> float:
    """The entropy of the predicted classes, in nats: 0 where all images are of one class."""
    _, counts = np.unique(predicted, return_counts=True)
    return float(_entropy(counts / counts.sum()))


def mcnemar(taken: np.ndarray, other: np.ndarray) -> tuple[int, int, float]:
    """Wins and losses of the other, and the exact p-value, two-sided, that they come from one coin (McNemar 1947).

    Args:
        taken, other: bool ``[N]``: which images are right.
    """
    wins, losses = int((other & ~taken).sum()), int((taken & ~other).sum())
    return wins, losses, 1.0 if wins + losses == 0 else float(binomtest(wins, wins + losses).pvalue)


def _entropy(p: np.ndarray) -> np.ndarray:
    """Over the last axis; 0 log 0 = 0."""
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)


def _yes_or_no(p: np.ndarray) -> np.ndarray:
    return _entropy(np.stack([p, 1 - p], axis=-1))
