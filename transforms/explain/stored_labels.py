"""The label columns of rows that are there already: what is true of their images, and whether the model found it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transforms.explain.known import class_label_columns
from transforms.explain.meaning import OUTCOMES
from transforms.model import ModelCard
from transforms.records import ImageRef
from transforms.targets import label_index_of
from transforms.true_labels import true_classes_of, true_values_of

LABEL_COLUMNS = ("label_index", "is_correct", "label_indices", "outcome", "label_value", "error")
"""All that may follow from labels, by whatever an output means."""

Row = Mapping[str, Any]


def truth_of_ref(ref: ImageRef, targets: Sequence[int], card: ModelCard) -> object:
    """What the manifest says, to be compared with :func:`truth_of_rows`.

    Args:
        targets: of a model that gives values, those that the rows are of.
    """
    if card.output_kind == "value":
        values = true_values_of(ref, card.class_count)
        return tuple((index, _stored(values[index])) for index in sorted(targets))
    return (
        true_classes_of(ref, card.classes) if card.output_kind == "multi_label" else label_index_of(ref, card.classes)
    )


def truth_of_rows(rows: Sequence[Row], card: ModelCard) -> object:
    """What the rows of an image say."""
    if card.output_kind == "value":
        return tuple(sorted((row["target_index"], _stored(row.get("label_value"))) for row in rows))
    if card.output_kind == "multi_label":
        indices = rows[0].get("label_indices")
        return None if indices is None else tuple(indices)
    return rows[0]["label_index"]


def label_columns_of_rows(rows: Sequence[Row], refs: Sequence[ImageRef], card: ModelCard) -> dict[str, list]:
    """The columns made anew, without the model.

    Args:
        rows: with predicted_index, predicted_value, found_indices and target_index, as far as they have them.
        refs: the image of each.
    """
    if card.output_kind == "value":
        truth = [
            true_values_of(ref, card.class_count)[row["target_index"]] for row, ref in zip(rows, refs, strict=True)
        ]
        given = [row["predicted_value"] for row in rows]
        return {
            "label_value": truth,
            "error": [None if t is None or g is None else g - t for t, g in zip(truth, given, strict=True)],
        }
    if card.output_kind == "multi_label":
        classes = [true_classes_of(ref, card.classes) for ref in refs]
        outcomes = [
            None
            if true is None or row["found_indices"] is None
            else OUTCOMES[row["target_index"] in true, row["target_index"] in row["found_indices"]]
            for row, true in zip(rows, classes, strict=True)
        ]
        return {
            "label_index": [true[0] if true is not None and len(true) == 1 else None for true in classes],
            "label_indices": [None if true is None else list(true) for true in classes],
            "outcome": outcomes,
            "is_correct": [None if outcome is None else outcome in ("TP", "TN") for outcome in outcomes],
        }
    predicted = np.array([np.nan if row["predicted_index"] is None else row["predicted_index"] for row in rows])
    return class_label_columns(refs, predicted.astype(np.float64), card)


def _stored(value: float | None) -> float | None:
    """A value as the table has it, in float32."""
    return None if value is None else float(np.float32(value))
