"""Slices as the report shows them, and as a file for machines."""

import io
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.analysis import SIGNIFICANCE
from pipeline.audit.pages import pictures
from pipeline.audit.slices.measure import SliceAudit

FEWEST_FOR_MEAN = 3  # maps: the mean of fewer is a map of its own
SHOWN = 200  # slices of an entry


def slices_view(audits: Sequence[SliceAudit], brightest: float) -> list[dict[str, Any]]:
    """For each entry its measures and its slices, in the order of the column's values or their number."""
    return [
        {
            "title": audit.title,
            "measures": audit.measures,
            "count": len(audit.names),
            "rows": [_row(audit, group, brightest) for group in range(min(len(audit.names), SHOWN))],
        }
        for audit in audits
    ]


def slices_file(audits: Sequence[SliceAudit]) -> bytes:
    """One row for each slice and measure, as Parquet."""
    rows = [
        {
            "by": audit.title,
            "slice": name,
            "images": int(audit.images[group]),
            "measure": measure.name,
            **{
                column: None if math.isnan(value) else float(value)
                for column, value in (
                    ("mean", audit.means.mean[group, place]),
                    ("low", audit.means.low[group, place]),
                    ("high", audit.means.high[group, place]),
                    ("rest", audit.rest[group, place]),
                    ("delta", audit.delta[group, place]),
                    ("p_value", audit.p_values[group, place]),
                )
            },
        }
        for audit in audits
        for group, name in enumerate(audit.names)
        for place, measure in enumerate(audit.measures)
    ]
    texts = ("by", "slice", "measure")
    schema = pa.schema(
        [
            (name, pa.string() if name in texts else pa.int64() if name == "images" else pa.float64())
            for name in ("by", "slice", "images", "measure", "mean", "low", "high", "rest", "delta", "p_value")
        ]
    )
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer, compression="zstd")
    return buffer.getvalue()


def _row(audit: SliceAudit, group: int, brightest: float) -> dict[str, Any]:
    cells = [
        {
            "mean": float(audit.means.mean[group, place]),
            "low": float(audit.means.low[group, place]),
            "high": float(audit.means.high[group, place]),
            "rest": float(audit.rest[group, place]),
            "differs": bool(audit.p_values[group, place] < SIGNIFICANCE),
        }
        for place in range(len(audit.measures))
    ]
    images = int(audit.images[group])
    return {
        "name": audit.names[group],
        "images": images,
        "picture": pictures.map_picture(audit.maps[group], brightest) if images >= FEWEST_FOR_MEAN else "",
        "cells": cells,
    }
