"""What ``audit.slices`` asks for -> which slice each image belongs to."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

from pipeline.audit.analysis import COVARIATES
from pipeline.audit.errors import AuditError
from pipeline.audit.inputs import AuditTable, one_of_each, quoted
from pipeline.audit.slices.condition import checked_condition

_MOST_VALUES = 50  # of a column, the most frequent
_BINS = 4  # of a number


def images_of(name: str) -> str:
    """SQL of a table's images, each once, by the map of its most probable class; of near duplicates one."""
    return (
        f"(SELECT * FROM {quoted(name)} WHERE status IN ('OK', 'ZERO', 'FLAT') AND {one_of_each(name)} "
        "QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY target_rank, target_index) = 1)"
    )


SliceSpec = str | Sequence[str]
"""A column, a covariate or an SQL condition; or a list of them, which are crossed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The images of a table by one entry of ``audit.slices``."""

    title: str
    names: tuple[str, ...]  # of its slices
    groups: np.ndarray  # int [N]: the slice of each image, -1: none


def named_columns(specs: Sequence[SliceSpec], table: AuditTable) -> tuple[list[SliceSpec], list[str]]:
    """The entries that name columns alone, and what was left out.

    For entries that come from the folder of a run: who can write there must not say what SQL is executed here.
    """
    known = {*table.columns, *COVARIATES}
    kept = [spec for spec in specs if all(part in known for part in _parts(spec))]
    left_out = [" x ".join(_parts(spec)) for spec in specs if spec not in kept]
    return kept, left_out


def split_images(table: AuditTable, spec: SliceSpec, fewest: int = 1, name: str = "statistics") -> Split:
    """The images of the table ``name``, in the order of their ids, by one entry.

    A column of up to 50 values has a slice for each; one of more numbers, and a covariate, four of the same size; a
    condition has two, where it holds and where it does not. Slices with less than ``fewest`` images are left out.

    Raises:
        AuditError: it is none of these.
    """
    parts = [_split_part(table, part, name) for part in _parts(spec)]
    title = " x ".join(part.title for part in parts)
    names, groups, used = [], np.full(len(parts[0].groups), -1), 0
    for places in itertools.product(*(range(len(part.names)) for part in parts)):
        members = np.logical_and.reduce([part.groups == place for part, place in zip(parts, places, strict=True)])
        if members.sum() >= fewest:
            names.append(", ".join(part.names[place] for part, place in zip(parts, places, strict=True)))
            groups[members] = used
            used += 1
    return Split(title, tuple(names), groups)


def _parts(spec: SliceSpec) -> list[str]:
    return [spec] if isinstance(spec, str) else list(spec)


def _split_part(table: AuditTable, part: str, name: str) -> Split:
    if part in table.columns:
        return _by_column(table, part, quoted(part), name)
    if part in COVARIATES:
        return _by_column(table, part, COVARIATES[part], name)
    values = _values(table, checked_condition(part, table), name)
    holds = np.array([None if value is None or value != value else bool(value) for value in values], object)
    groups = np.select([holds == True, holds == False], [0, 1], -1)  # noqa: E712 - element by element
    return Split(part, (part, f"not ({part})"), groups)


def _by_column(table: AuditTable, title: str, sql: str, name: str) -> Split:
    values = _values(table, sql, name)
    present = np.array([value is not None and value == value for value in values], bool)
    if not present.any():
        raise AuditError(f"audit.slices: {title}: no image has a value of it")
    if isinstance(values[present][0], list | np.ndarray | Mapping):
        raise AuditError(f"audit.slices: {title}: it holds lists, which make no slices")
    different = np.unique(values[present].astype(str))
    numbers = _as_numbers(values[present])
    if numbers is not None and len(different) > 2 * _BINS:
        bounds = np.unique(np.quantile(numbers, np.linspace(0, 1, _BINS + 1)))
        groups = np.full(len(values), -1)
        groups[present] = np.clip(np.searchsorted(bounds, numbers, "right") - 1, 0, len(bounds) - 2)
        names = [f"{title} {low:.3g} to {high:.3g}" for low, high in itertools.pairwise(bounds)]
        return Split(title, tuple(names), groups)
    texts = np.where(present, values.astype(str), "")
    counts = {value: int((texts[present] == value).sum()) for value in different.tolist()}
    kept = sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_VALUES]
    place = {value: number for number, value in enumerate(kept)}
    groups = np.array([place.get(text, -1) if known else -1 for text, known in zip(texts, present, strict=True)], int)
    return Split(title, tuple(f"{title} = {value}" for value in kept), groups)


def _as_numbers(values: np.ndarray) -> np.ndarray | None:
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return numbers if np.isfinite(numbers).all() and values.dtype != bool else None


def _values(table: AuditTable, sql: str, name: str) -> np.ndarray:
    """An expression on each image, in the order of their ids; None or NaN where it is NULL."""
    try:
        found: Any = table.arrays(f"SELECT {sql} AS value FROM {images_of(name)} ORDER BY image_id")
    except duckdb.Error as error:
        raise AuditError(f"audit.slices: {sql.strip()}: {error}") from None
    return found["value"].astype(object)
