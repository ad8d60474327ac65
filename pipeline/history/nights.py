"""What each of the last runs explained, from its own parts: a night's rows are the images that were new."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from scipy import stats

from pipeline.audit.overview import share_interval
from pipeline.runs import Run, list_runs
from transforms.records import FAILURES
from transforms.statistics import jensen_shannon_distance
from transforms.storage import Storage
from transforms.table import list_parts, read_part

NIGHTS = 30
_COLUMNS = ["image_id", "status", "outcome", "is_correct", "predicted_index", "predicted_probability", "brightness"]
_MAP_COLUMNS = ["status", "cam", "cam_height", "cam_width"]
_PARTS_WITH_MAPS = 4  # of a run: their mean map is that of some thousand images
_FEWEST = 5  # expected images of a class in either night; rarer classes count together


@dataclasses.dataclass(frozen=True, eq=False)
class Night:
    """One run; an image counts once."""

    run_id: str
    started: str
    is_finished: bool
    fingerprint: str
    images: int  # that this run explained or failed on
    failures: dict[str, int]  # by status
    right: int
    labelled: int
    probability: float  # mean, of the predicted class; NaN where there is none
    brightness: float  # mean
    images_per_second: float  # NaN while the run goes on
    classes: Counter[int]  # predicted, images each
    mean_map: np.ndarray | None  # [h, w], sums to one
    class_drift: float = float("nan")  # JS distance of the predicted classes from those of the run before, 0..1
    class_drift_p: float = float("nan")  # chi-square test that both nights are alike
    map_drift: float = float("nan")  # JS distance of the mean maps; NaN where the model or the grid is another

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def accuracy(self) -> float:
        return self.right / self.labelled if self.labelled else float("nan")

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        return share_interval(self.right, self.labelled) if self.labelled else (float("nan"), float("nan"))


def read_nights(output: str, storage: Storage, most: int = NIGHTS) -> list[Night]:
    """The last ``most`` runs that explained anything, the oldest first, each compared with the one before.

    Raises:
        NoRunError: there is no run.
    """
    nights: list[Night] = []
    for run in reversed(list_runs(output, storage)):
        night = _read_night(run, storage)
        if night.images:
            nights.append(night)
        if len(nights) == most:
            break
    nights.reverse()
    return nights[:1] + [_compared(night, before) for before, night in itertools.pairwise(nights)]


def _read_night(run: Run, storage: Storage) -> Night:
    parts = list(list_parts(run.files.statistics, storage))
    tables = [read_part(uri, storage, _COLUMNS) for uri in parts]
    maps = [read_part(uri, storage, _MAP_COLUMNS) for uri in parts[:_PARTS_WITH_MAPS]]
    statuses: dict[str, str] = {}
    right = labelled = 0
    classes: Counter[int] = Counter()
    probabilities: list[float] = []
    brightness: list[float] = []
    for row in (row for table in tables for row in table.to_pylist()):
        first = row["image_id"] not in statuses
        if first or row["status"] in FAILURES:
            statuses[row["image_id"]] = row["status"]
        if not first or row["status"] in FAILURES:
            continue
        if row.get("is_correct") is not None and row.get("outcome") is None:
            labelled += 1
            right += row["is_correct"]
        if row["predicted_index"] is not None:
            classes[row["predicted_index"]] += 1
        if row["predicted_probability"] is not None:
            probabilities.append(row["predicted_probability"])
        if row["brightness"] is not None:
            brightness.append(row["brightness"])
    summary = run.summary
    return Night(
        run_id=run.run_id,
        started=run.record.started,
        is_finished=summary is not None,
        fingerprint=run.record.fingerprint,
        images=len(statuses),
        failures={status: count for status, count in sorted(Counter(statuses.values()).items()) if status in FAILURES},
        right=right,
        labelled=labelled,
        probability=float(np.mean(probabilities)) if probabilities else float("nan"),
        brightness=float(np.mean(brightness)) if brightness else float("nan"),
        images_per_second=summary.images_per_second if summary is not None else float("nan"),
        classes=classes,
        mean_map=_mean_map(maps),
    )


def _mean_map(tables: Sequence[pa.Table]) -> np.ndarray | None:
    """Each map counts the same; None where there is none, or they are of several grids."""
    rows = [row for table in tables for row in table.to_pylist() if row["status"] == "OK" and row["cam"] is not None]
    grids = {(row["cam_height"], row["cam_width"]) for row in rows}
    if len(grids) != 1:
        return None
    maps = np.array([row["cam"] for row in rows], np.float64)
    return (maps / maps.sum(axis=1, keepdims=True)).mean(axis=0).reshape(grids.pop())


def _compared(night: Night, before: Night) -> Night:
    drift, p_value = class_drift(before.classes, night.classes)
    maps = (before.mean_map, night.mean_map)
    map_drift = float("nan")
    same = before.fingerprint == night.fingerprint
    if same and maps[0] is not None and maps[1] is not None and maps[0].shape == maps[1].shape:
        map_drift = float(jensen_shannon_distance(maps[0][None], maps[1][None])[0])
    return dataclasses.replace(night, class_drift=drift, class_drift_p=p_value, map_drift=map_drift)


def class_drift(before: Counter[int], after: Counter[int]) -> tuple[float, float]:
    """The Jensen-Shannon distance of two nights' predicted classes, 0..1, and the p-value of Pearson's chi-square test.

    For the test classes with less than five expected images in either night count together; NaN where there is nothing
    to compare.
    """
    every = sorted({*before, *after})
    counts = np.array([[night[index] for index in every] for night in (before, after)], np.float64)
    if not counts.size or not counts.sum(axis=1).all():
        return float("nan"), float("nan")
    distance = float(jensen_shannon_distance(counts[:1, None], counts[1:, None])[0])
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()
    rare = (expected < _FEWEST).any(axis=0)
    pooled = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)]) if rare.any() else counts
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    if pooled.shape[1] < 2:
        return distance, float("nan")
    return distance, float(stats.chi2_contingency(pooled, correction=False).pvalue)
