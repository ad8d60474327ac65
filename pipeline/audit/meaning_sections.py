"""What the report says of outputs that are values, or any number of labels."""

import dataclasses
from typing import Any

import numpy as np

from pipeline.audit.analysis import LabelAudit, ValueAudit, ValueBin, audit_labels, audit_values
from pipeline.audit.inputs import AuditTable
from pipeline.audit.pages import pictures
from transforms.model import ModelCard

SHOWN = 200  # labels, and values


def meaning_sections(table: AuditTable, card: ModelCard, grid: tuple[int, int], brightest: float) -> dict[str, Any]:
    """The values of the template that depend on what the output means."""
    values = audit_values(table, *grid) if card.output_kind == "value" else []
    labels = audit_labels(table, card.class_names, *grid) if card.output_kind == "multi_label" else []
    return {
        "output_kind": card.output_kind,
        "values": [_value(value, brightest) for value in values[:SHOWN]],
        "labels": [_label(label, brightest) for label in labels[:SHOWN]],
        "label_count": len(labels),
        "label_means": _means(labels),
        "has_boxes": any(not np.isnan(label.other_lift) for label in labels),
    }


def _value(value: ValueAudit, brightest: float) -> dict[str, Any]:
    shown = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return shown | {
        "by_value": [_bin(one, brightest) for one in value.by_value],
        "by_error": [_bin(one, brightest) for one in value.by_error],
    }


def _bin(one: ValueBin, brightest: float) -> dict[str, Any]:
    shown = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return shown | {"picture": pictures.map_picture(one.mean_map, brightest)}


def _label(label: LabelAudit, brightest: float) -> dict[str, Any]:
    shown = {field.name: getattr(label, field.name) for field in dataclasses.fields(label)}
    made = {kind: pictures.map_picture(grid, brightest) for kind, grid in label.maps.items()}
    return shown | {"pictures": made, "false_alarms": label.false_alarms}


def _means(labels: list[LabelAudit]) -> dict[str, float]:
    """Over the labels that have the number: each counts the same."""
    means = {}
    for name in ("precision", "recall", "average_precision"):
        known = [number for label in labels if not np.isnan(number := getattr(label, name))]
        means[name] = float(np.mean(known)) if known else float("nan")
    return means
