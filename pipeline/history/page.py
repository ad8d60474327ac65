"""The page of the last runs, and the same as JSON."""

import json
import math
from typing import Any

import numpy as np

from pipeline.audit.pages import fill_page, pictures
from pipeline.history.nights import NIGHTS, Night, read_nights
from transforms.storage import Storage
from transforms.table import OutputLayout

_SIGNIFICANCE = 0.01


def write_history(output: str, storage: Storage, most: int = NIGHTS) -> str:
    """Write ``<output>/history/index.html`` and ``history.json``; returns the URI of the page.

    Raises:
        NoRunError: the output has no run.
    """
    nights = read_nights(output, storage, most)
    folder = OutputLayout(output).history
    storage.put(f"{folder}/history.json", json.dumps([_for_machines(night) for night in nights], indent=2).encode())
    kinds = sorted({kind for night in nights for kind in night.failures})
    values = {
        "output": output,
        "nights": nights[::-1],  # the newest first
        "kinds": kinds,
        "figures": _figures(nights),
        "significance": _SIGNIFICANCE,
    }
    uri = f"{folder}/index.html"
    storage.put(uri, fill_page("history.html.j2", values))
    return uri


def _figures(nights: list[Night]) -> list[str]:
    """A line over the runs, the oldest left, for each number that is known of two or more of them."""
    failure_rate = [night.failed / night.images for night in nights]
    shown: list[tuple[str, list[float]]] = [
        ("images", [float(night.images) for night in nights]),
        ("share that failed", failure_rate),
        ("share that is right", [night.accuracy for night in nights]),
        ("mean probability", [night.probability for night in nights]),
        ("classes: distance from the run before", [night.class_drift for night in nights]),
        ("maps: distance from the run before", [night.map_drift for night in nights]),
        ("mean brightness", [night.brightness for night in nights]),
        ("images per second", [night.images_per_second for night in nights]),
    ]
    figures = []
    for title, values in shown:
        mean = np.array(values)
        low = high = mean
        if title == "share that is right":
            low, high = (np.array([night.accuracy_interval[end] for night in nights]) for end in (0, 1))
        if (~np.isnan(mean)).sum() >= 2:
            figures.append(pictures.course(title, mean, low, high))
    return figures


def _for_machines(night: Night) -> dict[str, Any]:
    numbers = {
        "accuracy": night.accuracy,
        "probability": night.probability,
        "brightness": night.brightness,
        "images_per_second": night.images_per_second,
        "class_drift": night.class_drift,
        "class_drift_p": night.class_drift_p,
        "map_drift": night.map_drift,
    }
    return {
        "run_id": night.run_id,
        "started": night.started,
        "is_finished": night.is_finished,
        "fingerprint": night.fingerprint,
        "images": night.images,
        "failures": night.failures,
        "labelled": night.labelled,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
    }
