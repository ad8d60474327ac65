"""A few images under each plausible preprocessing -> the table of a check. Imports TensorFlow."""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from transforms.expected import Expected, agreement
from transforms.model.check.candidates import candidates_beside
from transforms.model.check.forward import Forward
from transforms.model.check.measures import mcnemar, mutual_information, spread
from transforms.model.check.reference import input_difference
from transforms.model.check.table import PixelCheck, PixelRow
from transforms.model.expectation import Evidence
from transforms.model.explanation import ModelCard
from transforms.model.load import load_model
from transforms.model.options import ModelOptions
from transforms.model.plan import Plan, card_of, make_plan
from transforms.model.preprocessing import Preprocessing
from transforms.model.tensorflow import tf
from transforms.statistics import jensen_shannon_distance
from transforms.storage import Storage


@dataclasses.dataclass(frozen=True, eq=False)
class ModelUnderCheck:
    """A loaded model, and why it is given the pixels that it is given."""

    plan: Plan
    evidence: Evidence
    card: ModelCard


@dataclasses.dataclass(frozen=True, eq=False)
class CheckedImages:
    """The images of a check, and what is known about each; N of them."""

    pixels: np.ndarray  # uint8 RGB [N, H, W, 3], at the size of the model's input
    labels: Sequence[int | None]
    expected: Sequence[Expected | None]  # the user's own predictions
    references: np.ndarray | None = None  # float [N, H, W, 3]: what the user's own code feeds to the model


def open_model(options: ModelOptions, storage: Storage) -> ModelUnderCheck:
    """Load a model for a check, uncompiled.

    Raises:
        ModelRefused: it cannot be loaded or explained as asked.
    """
    traced = load_model(options, storage)
    plan = make_plan(traced, options)
    assert traced.evidence is not None  # loading has seen to it
    return ModelUnderCheck(plan, traced.evidence, card_of(plan, ""))


def measure_pixels(model: ModelUnderCheck, images: CheckedImages) -> PixelCheck:
    """Score the images under each plausible preprocessing.

    Raises:
        ModelRefused: the model fails on them.
    """
    clock = time.monotonic()
    plan, forward = model.plan, Forward(model.plan)
    labels = np.array([-1 if label is None else label for label in images.labels], np.int64)
    references = None if images.references is None else forward.maps_of(images.references)
    rows: list[PixelRow] = []
    taken_right, taken_classes = np.zeros(0, bool), np.zeros(0, np.int64)
    for preprocessing in candidates_beside(plan.preprocessing, not tf.as_dtype(plan.input_dtype).is_floating):
        if references is None:
            probabilities, maps = forward.probabilities(images.pixels, preprocessing), None
        else:
            probabilities, maps = forward.maps(images.pixels, preprocessing)
        predicted = np.nan_to_num(probabilities, nan=-1.0).argmax(axis=1)
        right = (predicted == labels)[labels >= 0]
        if not rows:
            taken_right, taken_classes = right, predicted
        row = _row(preprocessing, probabilities, predicted, right, taken_right, plan)
        row = dataclasses.replace(
            row,
            same_class=float((predicted == taken_classes).mean()),
            agreement=agreement(images.expected, predicted, probabilities),
        )
        if references is not None and maps is not None and images.references is not None:
            row = _with_reference(row, preprocessing, images, predicted, maps, references)
        rows.append(row)
    return PixelCheck(
        fingerprint=model.card.fingerprint,
        images=len(images.pixels),
        labelled=int((labels >= 0).sum()),
        expected=sum(each is not None for each in images.expected),
        referenced=0 if images.references is None else len(images.references),
        evidence=model.evidence.kind,
        seen=model.evidence.seen,
        rows=tuple(rows),
        seconds=round(time.monotonic() - clock, 2),
    )


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
    predicted: np.ndarray,
    maps: np.ndarray,
    references: tuple[np.ndarray, np.ndarray],
) -> PixelRow:
    wanted, wanted_maps = references
    distances = jensen_shannon_distance(np.maximum(maps, 0), np.maximum(wanted_maps, 0))
    known = distances[~np.isnan(distances)]
    return dataclasses.replace(
        row,
        reference_agreement=float((predicted == wanted.argmax(axis=1)).mean()),
        input_difference=input_difference(preprocessing.apply(images.pixels), images.references),
        map_distance=float(known.mean()) if len(known) else None,
    )
