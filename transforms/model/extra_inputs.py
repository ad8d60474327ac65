"""A model's inputs beside the image: what they are, and their values from the cells of a manifest. No TensorFlow."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from transforms.records import ImageFailure, Stage, Status


@dataclasses.dataclass(frozen=True)
class ExtraInput:
    """One input of a model that has a row for each image."""

    name: str  # as the model has it
    columns: tuple[str, ...]  # of the manifest, whose numbers it is made of
    shape: tuple[int, ...]  # of an image's row
    dtype: str


_LABEL = ExtraInput("label", (), (), "int32")


def given_inputs(extra: Sequence[ExtraInput], contrast: int | str | None) -> tuple[ExtraInput, ...]:
    """What a compiled model is given beside images and targets: its own inputs, and the label where that is asked for.

    The label is the index of the true class, -1 where there is none.
    """
    return (*extra, _LABEL) if contrast == "label" else tuple(extra)


def input_rows(inputs: Sequence[ExtraInput], cells: Mapping[str, str | None]) -> tuple[np.ndarray, ...]:
    """An image's row of each input, of its shape and type.

    Args:
        cells: of the manifest's line, by column.

    Raises:
        ImageFailure: a cell is empty or no number, or they are more or fewer than the input takes.
    """
    return tuple(_row(one, cells) for one in inputs)


def _row(one: ExtraInput, cells: Mapping[str, str | None]) -> np.ndarray:
    numbers = [number for column in one.columns for number in _numbers(cells.get(column), column, one)]
    if len(numbers) != math.prod(one.shape):
        raise _failure(
            f"the model's input {one.name} takes {math.prod(one.shape)} numbers, but {_columns(one)} "
            f"{'has' if len(one.columns) == 1 else 'have'} {len(numbers)}"
        )
    kind = np.dtype(one.dtype)
    if kind.kind in "iu" and (wrong := [number for number in numbers if not _fits(number, kind)]):
        raise _failure(
            f"{_columns(one)}: {wrong[0]:g} is none of the whole numbers that the model's input {one.name} takes "
            f"({one.dtype})"
        )
    return np.array(numbers, np.float64).astype(kind).reshape(one.shape)


def _numbers(cell: str | None, column: str, one: ExtraInput) -> list[float]:
    try:
        value = None if cell is None or not cell.strip() else json.loads(cell)
    except (ValueError, RecursionError):
        value = cell
    values = value if isinstance(value, list) else [value]
    numbers = [float(number) for number in values if isinstance(number, int | float) and math.isfinite(number)]
    if not values or len(numbers) != len(values):
        found = "nothing" if value is None else repr(cell)
        raise _failure(
            f"column {column} has {found} for the model's input {one.name}; write a number, or a list of numbers "
            "such as [0.5, 2], in each line"
        )
    return numbers


def _fits(number: float, kind: np.dtype) -> bool:
    limits = np.iinfo(kind)
    return number.is_integer() and limits.min <= number <= limits.max


def _columns(one: ExtraInput) -> str:
    return f"column{'s' if len(one.columns) > 1 else ''} {', '.join(one.columns)}"


def _failure(message: str) -> ImageFailure:
    return ImageFailure(Status.BAD_INPUT, Stage.INPUT, message)
