"""A few images under each plausible preprocessing -> the table of a check. Imports TensorFlow."""

import dataclasses
import time
from collections.abc import Mapping

import numpy as np

from transforms.expected import agreement
from transforms.model.check.candidates import candidates_beside
from transforms.model.check.forward import Forward
from transforms.model.check.images import CheckedImages
from transforms.model.check.measures import mcnemar, mutual_information, spread
from transforms.model.check.reference import input_difference
from transforms.model.check.table import PixelCheck, PixelRow
from transforms.model.check.values import value_agreement, value_row
from transforms.model.plan import Plan
from transforms.model.planned import PlannedModel
from transforms.model.preprocessing import Preprocessing
from transforms.model.tensorflow import tf
from transforms.statistics import jensen_shannon_distance


def measure_pixels(
    model: PlannedModel, images: CheckedImages, filters: Mapping[str, np.ndarray] | None = None
) -> PixelCheck:
    """Score the images under each plausible preprocessing.

    Args:
        filters: the same images resized in other ways, uint8 RGB ``[N, H, W, 3]``, by the name of the filter: scored as
            the preprocessing that is taken would have them, and the best of the others.

    Raises:
        ModelRefused: the model fails on them.
    """
    clock = time.monotonic()
    plan, measured = model.plan, _Measured(model.plan, images)
    own = plan.sampling.filter_name
    candidates = candidates_beside(plan.preprocessing, not tf.as_dtype(plan.input_dtype).is_floating)
    rows = [measured.row(preprocessing, images.pixels, own) for preprocessing in candidates]
    best = max(range(len(rows)), key=lambda place: _merit(rows[place]))
    crossed = [
        measured.row(candidates[place], pixels, name)
        for place in dict.fromkeys((0, best))
        for name, pixels in (filters or {}).items()
    ]
    known = images.labels if images.values is None else np.isfinite(images.values).all(axis=1)
    return PixelCheck(
        fingerprint=model.card.fingerprint,
        images=len(images.pixels),
        labelled=sum(each is not None and each is not False for each in known),
        expected=sum(each is not None for each in images.expected),
        referenced=0 if images.references is None else len(images.references),
        evidence=model.evidence.kind,
        seen=model.evidence.seen,
        rows=tuple(rows),
        filters=tuple(crossed),
        seconds=round(time.monotonic() - clock, 2),
        are_values=measured.are_values,
    )


def _merit(row: PixelRow) -> tuple[float, ...]:
    return row.accuracy or 0.0, -(row.error or 0.0), row.mutual_information


class _Measured:
    """A plan's answers for some images; the first that is asked for is what is taken, which the others are held to."""

    def __init__(self, plan: Plan, images: CheckedImages):
        self._plan, self._images = plan, images
        self._forward = Forward(plan, images.beside)
        self._references = None if images.references is None else self._forward.maps_of(images.references)
        self._taken: np.ndarray | None = None
        self.are_values = plan.scores.kind == "value"

    def row(self, preprocessing: Preprocessing, pixels: np.ndarray, filter_name: str) -> PixelRow:
        if self._references is None:
            outputs, maps = self._forward.probabilities(pixels, preprocessing), None
        else:
            outputs, maps = self._forward.maps(pixels, preprocessing)
        if self._taken is None:
            self._taken = outputs
        row = (self._of_values if self.are_values else self._of_classes)(preprocessing, outputs, self._taken)
        row = dataclasses.replace(row, filter=filter_name)
        if self._references is None or maps is None:
            return row
        row = _with_reference(row, preprocessing.apply(pixels), self._images.references, maps, self._references[1])
        same = (
            value_agreement(outputs, self._references[0])
            if self.are_values
            else float((_predicted(outputs) == _predicted(self._references[0])).mean())
        )
        return dataclasses.replace(row, reference_agreement=same)

    def _of_classes(self, preprocessing: Preprocessing, probabilities: np.ndarray, taken: np.ndarray) -> PixelRow:
        predicted, of_taken = _predicted(probabilities), _predicted(taken)
        row = _row(preprocessing, probabilities, predicted, self._right(predicted), self._right(of_taken), self._plan)
        return dataclasses.replace(
            row,
            same_class=float((predicted == of_taken).mean()),
            agreement=agreement(self._images.expected, predicted, probabilities),
        )

    def _of_values(self, preprocessing: Preprocessing, values: np.ndarray, taken: np.ndarray) -> PixelRow:
        labels = np.full(taken.shape, np.nan) if self._images.values is None else self._images.values
        return value_row(preprocessing, values, labels, taken)

    def _right(self, predicted: np.ndarray) -> np.ndarray:
        """Of the images with labels, bool."""
        labelled = [(place, label) for place, label in enumerate(self._images.labels) if label is not None]
        return np.array([predicted[place] in label for place, label in labelled], bool)


def _predicted(probabilities: np.ndarray) -> np.ndarray:
    return np.nan_to_num(probabilities, nan=-1.0).argmax(axis=1)


def _row(
    preprocessing: Preprocessing,
    probabilities: np.ndarray,
    predicted: np.ndarray,
    right: np.ndarray,
    taken_right: np.ndarray,
    plan: Plan,
) -> PixelRow:
    """What can be said of one preprocessing alone, and of labels. ``right`` is of the images with labels."""
    finite = probabilities[np.isfinite(probabilities).all(axis=1)]
    wins, losses, p_value = mcnemar(taken_right, right)
    alone = plan.scores.activation == "sigmoid" and plan.scores.units > 1
    return PixelRow(
        name=preprocessing.name,
        scale=preprocessing.scale,
        offset=preprocessing.offset,
        bgr=preprocessing.bgr,
        accuracy=float(right.mean()) if len(right) else None,
        confidence=float(finite.max(axis=1).mean()) if len(finite) else 0.0,
        mutual_information=mutual_information(finite, alone) if len(finite) else 0.0,
        spread=spread(predicted),
        same_class=1.0,
        wins=wins,
        losses=losses,
        p_value=p_value if len(right) else None,
        agreement=None,
    )


def _with_reference(
    row: PixelRow, inputs: np.ndarray, references: np.ndarray | None, maps: np.ndarray, wanted_maps: np.ndarray
) -> PixelRow:
    """How far the model's inputs and the maps are from those of the user's own arrays."""
    distances = jensen_shannon_distance(np.maximum(maps, 0), np.maximum(wanted_maps, 0))
    known = distances[~np.isnan(distances)]
    return dataclasses.replace(
        row,
        input_difference=input_difference(inputs, references),
        map_distance=float(known.mean()) if len(known) else None,
    )
