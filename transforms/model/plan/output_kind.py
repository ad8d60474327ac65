"""What the numbers of an output mean: classes, labels, one decision, values or an embedding. No TensorFlow here.

The shape alone does not say it: one linear unit may be an age or the logit of "ill". So it is read off what there is:
the activation, the loss that the model was trained with, the labels of the manifest. Where these leave it open, or
contradict each other, nothing is guessed.
"""

import dataclasses
from typing import Literal

from transforms.manifest import LabelKind
from transforms.model.errors import ModelRefused
from transforms.model.options import OutputKind

Loss = Literal["value", "binary", "classes", "ordinal"]
"""What a training loss is made for."""

_FEW = 3  # units: a unit vector of two or three may well be a direction

_READINGS: dict[OutputKind, str] = {
    "classes": "classes, of which one is true of an image",
    "multi_label": "labels, of which any number may be true of an image",
    "binary": "the logit of one decision between two classes",
    "value": "values such as ages, angles or scores",
    "embedding": "an embedding",
}
_LABELS: dict[LabelKind, str] = {
    "none": "the manifest has no labels",
    "zero_one": "the manifest's labels are 0 and 1",
    "indices": "the manifest's labels are whole numbers",
    "names": "the manifest's labels are names",
    "several": "the manifest has several labels for an image",
    "numbers": "the manifest's labels are numbers with fractions or signs",
    "lists_of_numbers": "the manifest's labels are lists of numbers",
}
_NUMBERS = frozenset({"numbers", "lists_of_numbers"})
_CLASS_LABELS = frozenset({"zero_one", "indices", "names", "several"})


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known about an output."""

    output: str  # its name
    units: int
    activation: Literal["softmax", "sigmoid", "none"]
    sum_to_one: bool = False  # as far as made-up images show
    one_true: bool = False  # they do, or are part of a softmax
    in_unit_range: bool = False  # probabilities whose activation was not found
    unit_length: bool = False  # as far as made-up images show, and the units have signs
    move_together: bool = False  # all units are one number plus a constant each
    limits: tuple[float, float] = (0.0, 1.0)  # between which a sigmoid puts the output
    loss: Loss | None = None
    loss_name: str | None = None  # as the file has it
    labels: LabelKind = "none"
    has_two_names: bool = False  # the user names two classes


def output_kind_of(evidence: Evidence, asked: OutputKind | Literal["auto"]) -> tuple[OutputKind, tuple[str, ...]]:
    """What the output means, and notes on how that was found out.

    Args:
        asked: ``model.output_kind``.

    Raises:
        ModelRefused: it is open, or cannot be what is asked for, or has no class scores; with the remedy.
    """
    if asked != "auto":
        return _as_asked(evidence, asked), ()
    if evidence.unit_length and not evidence.sum_to_one:
        return _of_unit_length(evidence)
    if evidence.activation == "softmax" or evidence.one_true:
        return "classes", ()
    if evidence.loss == "ordinal" or evidence.move_together:
        raise _ordinal(evidence)
    if evidence.units == 1:
        return _of_one_unit(evidence)
    if evidence.activation == "sigmoid" or evidence.in_unit_range:
        return _of_sigmoids(evidence)
    return _of_linear_units(evidence)


def _as_asked(evidence: Evidence, asked: OutputKind) -> OutputKind:
    one_true = evidence.activation == "softmax" or evidence.one_true
    if asked == "embedding":
        raise _embedding(evidence)
    if asked == "classes" and evidence.units == 1:
        return "binary"
    if asked == "multi_label" and one_true:
        raise _impossible(
            evidence, asked, "its values are those of a softmax: one class is true of an image", "classes"
        )
    if asked == "multi_label" and evidence.units == 1:
        raise _impossible(evidence, asked, "it has one unit", "binary")
    if asked == "binary" and evidence.units != 1:
        raise _impossible(evidence, asked, f"it has {evidence.units} units", "classes" if one_true else "multi_label")
    return asked


def _of_unit_length(evidence: Evidence) -> tuple[OutputKind, tuple[str, ...]]:
    if evidence.units > _FEW:
        raise _embedding(evidence)
    if evidence.loss == "value" or evidence.labels in _NUMBERS:
        return "value", (f"the output is a direction, a vector of length one: {_why(evidence)}",)
    raise _open(evidence, "value", "embedding")


def _of_one_unit(evidence: Evidence) -> tuple[OutputKind, tuple[str, ...]]:
    for_binary = evidence.loss == "binary" or evidence.labels in ("zero_one", "names") or evidence.has_two_names
    if evidence.activation == "sigmoid" and not _is_probability(evidence.limits):
        if evidence.loss == "binary":
            raise _open(evidence, "binary", "value")
        low, high = (round(limit, 6) for limit in evidence.limits)
        return "value", (f"a sigmoid puts the output between {low:g} and {high:g}: it is taken as a value",)
    if evidence.activation == "sigmoid" or evidence.in_unit_range:
        # A mean squared error over 0..1 may be the Brier score of a decision as well as that of a value.
        for_value = evidence.labels in _NUMBERS
        doubtful = evidence.loss == "value" or evidence.labels == "indices" or evidence.limits[1] > 2
        undecided = doubtful and not for_binary
    else:
        for_value = evidence.loss == "value" or evidence.labels in _NUMBERS | {"indices"}
        undecided = not for_binary
    if for_value and not for_binary:
        return "value", (f"the output is taken as a value: {_why(evidence)}",)
    if for_value or undecided:
        raise _open(evidence, "binary", "value")
    return "binary", ()


def _of_sigmoids(evidence: Evidence) -> tuple[OutputKind, tuple[str, ...]]:
    """Each unit squashed on its own."""
    if not _is_probability(evidence.limits) or evidence.loss == "value" or evidence.labels in _NUMBERS:
        if evidence.loss in ("binary", "classes") or evidence.labels in _CLASS_LABELS:
            raise _open(evidence, "multi_label", "value")
        return "value", (f"the outputs are taken as values: {_why(evidence)}",)
    if evidence.loss == "classes" and evidence.labels != "several":
        return "classes", (f"one of the sigmoid units is true of an image: {_why(evidence)}",)
    if evidence.loss == "binary" or (evidence.labels == "several" and evidence.loss is None):
        return "multi_label", (f"any number of the sigmoid units may be true of an image: {_why(evidence)}",)
    raise _open(evidence, "classes", "multi_label")


def _of_linear_units(evidence: Evidence) -> tuple[OutputKind, tuple[str, ...]]:
    if evidence.loss == "value":
        if evidence.labels in _CLASS_LABELS - {"several"}:
            raise _open(evidence, "classes", "value")
        return "value", (f"the outputs are taken as values: {_why(evidence)}",)
    if evidence.loss == "binary":
        return "multi_label", (f"any number of the units may be true of an image: {_why(evidence)}",)
    if evidence.labels in _NUMBERS:
        if evidence.labels == "lists_of_numbers" and evidence.loss is None:
            return "value", (f"the outputs are taken as values: {_why(evidence)}",)
        raise _open(evidence, "classes", "value")
    if evidence.labels == "several":  # as logits are, they would be turned into other probabilities
        raise _open(evidence, "classes", "multi_label")
    return "classes", ()


def _is_probability(limits: tuple[float, float]) -> bool:
    """Of 0..1, or in percent."""
    low, high = limits
    return abs(low) <= 1e-3 and any(abs(high - top) <= 1e-3 * top for top in (1, 100))


def _why(evidence: Evidence) -> str:
    """What speaks for it."""
    loss = [] if evidence.loss_name is None else [f"it was trained with the loss {evidence.loss_name}"]
    labels = [] if evidence.labels == "none" else [_LABELS[evidence.labels]]
    return " and ".join([*loss, *labels]) or "nothing else fits"


def _shape(evidence: Evidence) -> str:
    squashed = {"softmax": "softmax", "sigmoid": "sigmoid", "none": "squashed" if evidence.in_unit_range else "linear"}
    count = "one" if evidence.units == 1 else str(evidence.units)
    return f"{count} {squashed[evidence.activation]} unit{'s' if evidence.units > 1 else ''}"


def _open(evidence: Evidence, *readings: OutputKind) -> ModelRefused:
    known = [
        "the model says nothing of its training loss"
        if evidence.loss_name is None
        else f"it was trained with the loss {evidence.loss_name}",
        _LABELS[evidence.labels],
    ]
    means = " or ".join(_READINGS[reading] for reading in readings)
    remedy = " or ".join(f"model.output_kind: {reading}" for reading in readings if reading != "embedding")
    return ModelRefused(
        f"The output {evidence.output} has {_shape(evidence)}, which can be {means}: {' and '.join(known)}. What a map "
        f"shows, and whether a prediction is right, depends on it. Set {remedy}."
    )


def _impossible(evidence: Evidence, asked: OutputKind, cause: str, remedy: OutputKind) -> ModelRefused:
    return ModelRefused(
        f"model.output_kind is {asked} ({_READINGS[asked]}), but the output {evidence.output} cannot be that: {cause}. "
        f"Set model.output_kind: {remedy}, or name another output in model.output."
    )


def _embedding(evidence: Evidence) -> ModelRefused:
    length = "a vector of length one for every image" if evidence.unit_length else f"{evidence.units} numbers"
    return ModelRefused(
        f"The output {evidence.output} is an embedding ({length}), not one score per class: there is no class whose "
        "evidence a map could show, and single numbers of an embedding mean nothing. Explain the model with the "
        "classifier that stands on the embedding, or one whose output is the similarity to what you compare with. If "
        "these are class scores after all, set model.output_kind: classes; if single values, model.output_kind: value."
    )


def _ordinal(evidence: Evidence) -> ModelRefused:
    seen = (
        f"it was trained with the loss {evidence.loss_name}"
        if evidence.loss == "ordinal"
        else "all its units are one number plus a constant each"
    )
    return ModelRefused(
        f"The output {evidence.output} ({_shape(evidence)}) is an ordinal head, as of CORAL: {seen}. Unit k says "
        "whether the level is above k, so that the highest unit is no class. Set model.output_kind: multi_label to "
        "explain each step (target k: is the level above k?), or name the number behind the steps in model.output "
        "and set model.output_kind: value."
    )
