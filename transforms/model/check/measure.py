"""A few images under each plausible preprocessing -> the table of a check. Imports TensorFlow."""

import dataclasses
import time

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


def measure_pixels(model: PlannedModel, images: CheckedImages) -> PixelCheck:
    """Score the images under each plausible preprocessing.

    Raises:
        ModelRefused: the model fails on them.
    """
    clock = time.monotonic()
    forward = Forward(model.plan, images.beside)
    references = None if images.references is None else forward.maps_of(images.references)
    rows = (_rows_of_values if model.plan.scores.kind == "value" else _rows)(model.plan, forward, images, references)
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
        seconds=round(time.monotonic() - clock, 2),
        are_values=model.plan.scores.kind == "value",
    )


_Maps = tuple[np.ndarray, np.ndarray]


def _rows(plan: Plan, forward: Forward, images: CheckedImages, references: _Maps | None) -> list[PixelRow]:
    labelled = [place for place, label in enumerate(images.labels) if label is not None]
    rows: list[PixelRow] = []
    taken_right, taken_classes = np.zeros(0, bool), np.zeros(0, np.int64)
    for preprocessing in _candidates(plan):
        if references is None:
            probabilities, maps = forward.probabilities(images.pixels, preprocessing), None
        else:
            probabilities, maps = forward.maps(images.pixels, preprocessing)
        predicted = np.nan_to_num(probabilities, nan=-1.0).argmax(axis=1)
        right = np.array([predicted[place] in (images.labels[place] or ()) for place in labelled], bool)
        if not rows:
            taken_right, taken_classes = right, predicted
        row = _row(preprocessing, probabilities, predicted, right, taken_right, plan)
        row = dataclasses.replace(
            row,
            same_class=float((predicted == taken_classes).mean()),
            agreement=agreement(images.expected, predicted, probabilities),
        )
        if references is not None and maps is not None:
            row = _with_reference(row, preprocessing, images, maps, references[1])
            same = float((predicted == references[0].argmax(axis=1)).mean())
            row = dataclasses.replace(row, reference_agreement=same)
        rows.append(row)
    return rows


def _rows_of_values(plan: Plan, forward: Forward, images: CheckedImages, references: _Maps | None) -> list[PixelRow]:
    taken = forward.probabilities(images.pixels, plan.preprocessing)
    labels = np.full(taken.shape, np.nan) if images.values is None else images.values
    rows = []
    for preprocessing in _candidates(plan):
        values, maps = forward.maps(images.pixels, preprocessing)
        row = value_row(preprocessing, values, labels, taken)
        if references is not None:
            row = _with_reference(row, preprocessing, images, maps, references[1])
            row = dataclasses.replace(row, reference_agreement=value_agreement(values, references[0]))
        rows.append(row)
    return rows


def _candidates(plan: Plan) -> tuple[Preprocessing, ...]:
    return candidates_beside(plan.preprocessing, not tf.as_dtype(plan.input_dtype).is_floating)


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
    row: PixelRow,
    preprocessing: Preprocessing,
    images: CheckedImages,
    maps: np.ndarray,
    wanted_maps: np.ndarray,
) -> PixelRow:
    """How far the pixels and the maps are from those of the user's own arrays."""
    distances = jensen_shannon_distance(np.maximum(maps, 0), np.maximum(wanted_maps, 0))
    known = distances[~np.isnan(distances)]
    return dataclasses.replace(
        row,
        input_difference=input_difference(preprocessing.apply(images.pixels), images.references),
        map_distance=float(known.mean()) if len(known) else None,
    )
