"""The columns of outputs that are no classes of which one is true: several labels, and values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from transforms.explain.loading import LoadedImage
from transforms.model import BatchExplanation, ModelCard
from transforms.true_labels import true_classes_of, true_values_of

_MOST_PROBABILITIES = 1000  # classes whose probabilities go into the table

Places = tuple[np.ndarray, np.ndarray]
"""Of each row: the image and the target in the batch."""


def value_columns(
    images: Sequence[LoadedImage], explanation: BatchExplanation, places: Places, card: ModelCard
) -> dict[str, Any]:
    """For a model that gives values: what it gives, what is true, and the error; all that is about classes is NULL.

    Args:
        images: of each row.
    """
    unit = explanation.classes[places]
    predicted = explanation.scores[places[0], unit].astype(np.float64)
    predicted[~np.isfinite(predicted)] = np.nan
    truth = [true_values_of(image.ref, card.class_count)[index] for image, index in zip(images, unit, strict=True)]
    label = np.array([np.nan if value is None else value for value in truth], np.float64)
    return {
        "target_index": unit.astype(np.float64),
        "target_name": [None if card.class_names is None else card.class_names[index] for index in unit],
        "target_score": np.where(np.isnan(predicted), np.nan, explanation.target_scores[places].astype(np.float64)),
        "predicted_value": predicted,
        "label_value": label,
        "error": predicted - label,
    }


def label_columns(
    images: Sequence[LoadedImage], explanation: BatchExplanation, places: Places, card: ModelCard
) -> dict[str, Any]:
    """For a model of several labels: what is found and what is true, of the target class and of all.

    Args:
        images: of each row.
    """
    assert card.thresholds is not None
    image_of, target_of = places
    probabilities = explanation.probabilities
    known = np.isfinite(probabilities).all(axis=1)
    found = probabilities >= np.array(card.thresholds, np.float32)
    truth = [true_classes_of(image.ref, card.classes) for image in images]
    outcomes: list[str | None] = []
    for row, (number, target) in enumerate(zip(image_of, explanation.classes[places], strict=True)):
        true = truth[row]
        outcomes.append(None if true is None or not known[number] else OUTCOMES[target in true, found[number, target]])
    single = [None if true is None or len(true) != 1 else true[0] for true in truth]
    has_list = known & (card.class_count <= _MOST_PROBABILITIES)
    return {
        "label_index": single,
        "label_indices": [None if true is None else list(true) for true in truth],
        "found_indices": [np.flatnonzero(found[i]).tolist() if known[i] else None for i in image_of],
        "class_probabilities": [
            probabilities[i].tolist() if has_list[i] and not place else None
            for i, place in zip(image_of, target_of, strict=True)
        ],
        "outcome": outcomes,
        "is_correct": [None if outcome is None else outcome in ("TP", "TN") for outcome in outcomes],
    }


OUTCOMES = {(True, True): "TP", (True, False): "FN", (False, True): "FP", (False, False): "TN"}
"""Of (is true, is found)."""
