"""``model.threshold``: from which probability on a class counts as found. No TensorFlow."""

import dataclasses

from transforms.model.errors import ModelRefused
from transforms.model.options import ModelOptions
from transforms.storage import Storage

_USUAL = 0.5


def with_thresholds(options: ModelOptions, storage: Storage) -> ModelOptions:
    """The options with the numbers in place of the file that holds them.

    Raises:
        ModelRefused: the file cannot be read, or holds something else than numbers of 0..1, one a line.
    """
    if not isinstance(options.threshold, str):
        return options
    url = options.threshold
    try:
        lines = storage.read(storage.absolute(url)).decode("utf-8-sig").split()
    except Exception as error:  # the libraries of stores raise what they like
        message = f"model.threshold: {url} cannot be read: {type(error).__name__}: {error}"
        raise ModelRefused(storage.redact(message)) from error
    return dataclasses.replace(options, threshold=tuple(_number(line, url) for line in lines))


def thresholds_of(threshold: float | str | tuple[float, ...] | None, class_count: int) -> tuple[float, ...]:
    """One for each class.

    Raises:
        ModelRefused: they are not as many as the classes.
    """
    if threshold is None or isinstance(threshold, int | float):
        return (_USUAL if threshold is None else float(threshold),) * class_count
    if len(threshold) != class_count or isinstance(threshold, str):
        raise ModelRefused(
            f"model.threshold has {len(threshold)} numbers, the model has {class_count} classes: write one number for "
            "all, or one a line for each class, in the order of the scores"
        )
    return threshold


def _number(text: str, url: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ModelRefused(f"model.threshold: {url} has {text!r}: write one number of 0..1 a line, one for each class")
    return number
