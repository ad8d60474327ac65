"""Outputs that are values: how far off they are, and where the model looks, by bins of value and of error."""

import dataclasses
from typing import Literal

import numpy as np

from pipeline.audit.analysis.grouped_maps import group_maps
from pipeline.audit.inputs import AuditTable

BINS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class ValueBin:
    """The rows whose value, or error without its sign, is among the lowest fifth, the next ..."""

    low: float
    high: float
    rows: int
    predicted: float  # mean
    label: float  # mean; NaN without labels, as what follows
    error: float  # mean of predicted - label
    absolute_error: float  # mean
    effective_area: float  # mean share of the cells that carry the map
    gt_lift: float  # mean mass in the boxes / their area; NaN without boxes
    mean_map: np.ndarray  # [h, w], 1 = uniform; NaN without maps


@dataclasses.dataclass(frozen=True, eq=False)
class ValueAudit:
    """One of the values that a model gives."""

    index: int
    name: str  # the index where there is no name
    rows: int  # that did not fail
    labelled: int
    bias: float  # mean error; NaN without labels, as what follows
    mean_absolute_error: float
    root_mean_square_error: float
    correlation: float  # Pearson's, of prediction and label
    binned_by: Literal["label", "prediction"]
    by_value: tuple[ValueBin, ...]
    by_error: tuple[ValueBin, ...]  # empty without labels


def audit_values(table: AuditTable, height: int, width: int) -> list[ValueAudit]:
    """Each value of the run; the bins are fifths of its rows."""
    found = table.records(
        "SELECT target_index, any_value(target_name) AS name, count(*) AS rows, count(error) AS labelled, "
        "avg(error) AS bias, avg(abs(error)) AS mae, sqrt(avg(CAST(error AS DOUBLE) ** 2)) AS rmse, "
        "CASE WHEN stddev_pop(label_value) > 0 AND stddev_pop(predicted_value) > 0 "
        "THEN corr(predicted_value, label_value) END AS correlation "
        "FROM statistics WHERE predicted_value IS NOT NULL AND status IN ('OK', 'ZERO', 'FLAT') "
        "GROUP BY target_index ORDER BY target_index"
    )
    return [
        ValueAudit(
            index=row["target_index"],
            name=str(row["target_index"]) if row["name"] is None else row["name"],
            rows=row["rows"],
            labelled=row["labelled"],
            bias=_number(row["bias"]),
            mean_absolute_error=_number(row["mae"]),
            root_mean_square_error=_number(row["rmse"]),
            correlation=_number(row["correlation"]),
            binned_by="label" if row["labelled"] else "prediction",
            by_value=_bins(table, row["target_index"], _VALUES[bool(row["labelled"])], height, width),
            by_error=_bins(table, row["target_index"], "abs(error)", height, width) if row["labelled"] else (),
        )
        for row in found
    ]


_VALUES = {True: "label_value", False: "predicted_value"}


def _bins(table: AuditTable, index: int, value: str, height: int, width: int) -> tuple[ValueBin, ...]:
    binned = (
        f"SELECT *, CAST({value} AS DOUBLE) AS binned, ntile({BINS}) OVER (ORDER BY {value}, image_id) AS bin "
        f"FROM statistics WHERE target_index = {int(index)} AND {value} IS NOT NULL "
        "AND status IN ('OK', 'ZERO', 'FLAT')"
    )
    maps = group_maps(table, f"SELECT bin, cam FROM ({binned}) WHERE status IN ('OK', 'FLAT')", height, width)
    rows = table.records(
        "SELECT bin, min(binned) AS low, max(binned) AS high, count(*) AS rows, avg(predicted_value) AS predicted, "
        "avg(label_value) AS label, avg(error) AS error, avg(abs(error)) AS absolute_error, "
        f"avg(effective_area) AS area, avg(gt_lift) AS gt_lift FROM ({binned}) GROUP BY bin ORDER BY bin"
    )
    nothing = np.full((height, width), np.nan)
    return tuple(
        ValueBin(
            low=row["low"],
            high=row["high"],
            rows=row["rows"],
            predicted=_number(row["predicted"]),
            label=_number(row["label"]),
            error=_number(row["error"]),
            absolute_error=_number(row["absolute_error"]),
            effective_area=_number(row["area"]),
            gt_lift=_number(row["gt_lift"]),
            mean_map=maps.get(row["bin"], nothing),
        )
        for row in rows
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
