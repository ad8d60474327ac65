"""What is true of an image, in the terms of the model: one class, several, or values."""

import math

from transforms.records import ImageRef
from transforms.targets import Classes, UnknownClassError, true_texts

_NO_LABEL = frozenset({"nan", "NaN", "<NA>"})  # what tools write into a text where a column of numbers has a gap


def true_classes_of(ref: ImageRef, classes: Classes) -> tuple[int, ...] | None:
    """The indices of all true classes, in order; those that the model lacks are left out. None without labels."""
    texts = true_texts(ref, classes)
    if texts is None:
        return None
    return tuple(sorted({index for text in texts if (index := _index(text, classes)) is not None}))


def true_values_of(ref: ImageRef, count: int) -> tuple[float | None, ...]:
    """The true value of each of the ``count`` outputs; None where the label has no such number."""
    texts = ref.labels if ref.labels is not None else () if ref.label is None else (ref.label,)
    if len(texts) != count:
        return (None,) * count
    return tuple(_number(text) for text in texts)


def has_unknown_label(ref: ImageRef, classes: Classes) -> bool:
    """Whether a label of the manifest means nothing to the model: most often a misspelt name."""
    if ref.label is None and ref.labels is None:
        return False
    if classes.are_values:
        return None in true_values_of(ref, classes.count)
    texts = true_texts(ref, classes)
    return texts is not None and any(text not in _NO_LABEL and _index(text, classes) is None for text in texts)


def _index(text: str, classes: Classes) -> int | None:
    try:
        return classes.index_of(text)
    except UnknownClassError:
        return None  # the model may well lack a class of the data set


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
