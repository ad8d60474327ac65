"""Targets that only the scores can tell: all classes of an image whose probability reaches a number."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from transforms.explain.loading import LoadedImage
from transforms.model import BatchExplanation
from transforms.targets import MOST_FOUND


def counts_found(images: Sequence[LoadedImage], explanation: BatchExplanation) -> list[int]:
    """How many classes of each image are explained: those found, at least one, since each image has its row.

    Where it is not the scores that choose the targets, they are as many as were asked for.
    """
    counts = []
    for image, probabilities in zip(images, explanation.probabilities, strict=True):
        least = image.targets.above
        found = len(image.targets.codes) if least is None else int(np.count_nonzero(probabilities >= least))
        counts.append(min(max(found, 1), MOST_FOUND))
    return counts


def with_found_targets(
    images: Sequence[LoadedImage], explanation: BatchExplanation, counts: Sequence[int]
) -> list[LoadedImage]:
    """The images with the targets that were found; where none is, with the most probable class, as predicted."""
    settled = []
    for image, probabilities, count in zip(images, explanation.probabilities, counts, strict=True):
        targets = image.targets
        if targets.above is not None:
            is_found = bool((probabilities >= targets.above).any())
            targets = dataclasses.replace(
                targets, codes=ranks(count), reason="above" if is_found else "predicted", above=None
            )
        settled.append(dataclasses.replace(image, targets=targets))
    return settled


def ranks(count: int) -> tuple[int, ...]:
    """Codes of the ``count`` classes with the highest scores."""
    return tuple(-rank for rank in range(1, count + 1))
