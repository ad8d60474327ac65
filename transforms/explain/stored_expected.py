"""The columns of the user's own predictions in rows that are there already, made anew without the model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transforms.expected import expected_of
from transforms.model import ModelCard
from transforms.records import ImageRef

EXPECTED_COLUMNS = ("expected_index", "agrees")


def expectation_of_ref(ref: ImageRef, card: ModelCard) -> object:
    """What the manifest expects, to be compared with the ``expected_index`` of rows.

    Rows do not say which probability was expected of a model of many classes: such a one equals nothing, so that it is
    looked at each time.
    """
    expected = None if card.output_kind == "value" else expected_of(ref, card.classes)
    if expected is None:
        return None
    return ("probability", expected.probability) if expected.index is None else expected.index


def expected_columns_of_rows(
    rows: Sequence[Mapping[str, Any]], refs: Sequence[ImageRef], card: ModelCard
) -> dict[str, list]:
    """The columns made anew; of a model that gives values there are none.

    Args:
        rows: with predicted_index and predicted_probability.
        refs: the image of each.
    """
    if card.output_kind == "value":
        return {}
    expected = [expected_of(ref, card.classes) for ref in refs]
    return {
        "expected_index": [None if each is None else each.index for each in expected],
        "agrees": [
            None
            if each is None or row["predicted_index"] is None
            else each.agrees(row["predicted_index"], _probabilities(row, card))
            for each, row in zip(expected, rows, strict=True)
        ],
    }


def _probabilities(row: Mapping[str, Any], card: ModelCard) -> np.ndarray:
    """Those that a row has, which are all that an expectation looks at; float64 ``[C]``."""
    probabilities = np.zeros(card.class_count)
    probabilities[row["predicted_index"]] = row["predicted_probability"]
    return probabilities
