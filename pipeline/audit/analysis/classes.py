"""The classes of a run: means with intervals, which class stands out and by what, mean maps."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pipeline.audit.analysis.intervals import Means, group_means, holm, larger_than_rest
from pipeline.audit.inputs import AuditTable, Measure, one_of_each

SIGNIFICANCE = 0.01
LEAST_RATIO = 1.5
FEWEST_MAPS = 8


@dataclasses.dataclass(frozen=True, eq=False)
class ClassAudit:
    """G classes, the largest first, measured by k measures."""

    measures: tuple[Measure, ...]
    indices: np.ndarray  # int [G], class index
    names: tuple[str, ...]  # the index where there is no name
    rows: np.ndarray  # [G], rows that explain the class and did not fail
    zero_maps: np.ndarray  # [G], of these, without positive evidence
    precision: np.ndarray  # [G], of the images that are predicted so and have a label, share that is right
    recall: np.ndarray  # [G], of the images that are labelled so, share that is predicted so
    means: Means  # [G, k]
    overall: Means  # [1, k], over all rows
    ratio: np.ndarray  # [G, k], mean / mean of all other classes
    p_values: np.ndarray  # [G, k], larger than the others, adjusted over all classes and alarm measures; NaN: no test
    flags: np.ndarray  # bool [G, k]

    def position(self, measure: str) -> int:
        return next(place for place, known in enumerate(self.measures) if known.name == measure)


@dataclasses.dataclass(frozen=True, eq=False)
class MeanMaps:
    """Mean and standard deviation of the lift (n p, 1 = uniform) of each cell, ``[G, h, w]``; NaN without maps."""

    mean: np.ndarray
    spread: np.ndarray
    right: np.ndarray  # mean over rows whose image is classified right
    wrong: np.ndarray
    overall: np.ndarray  # [h, w]


def audit_classes(table: AuditTable, measures: Sequence[Measure]) -> ClassAudit:
    """Compare every class with all the others together.

    A class is flagged by an alarm measure where three things hold: the rank-sum test against all other rows is
    significant at 1 % after Holm's correction over all classes and alarm measures; the lower end of the mean's interval
    is at least 1.5 times the mean of the others, and above the alarm, which for a lift is that of a uniform map; it has
    at least 8 maps. Rows are taken as independent: of near duplicates, where they are known, one counts.
    """
    classes = table.records(
        "SELECT target_index, any_value(target_name) AS name, count(*) AS rows, "
        "count(*) FILTER (status = 'ZERO') AS zero FROM statistics "
        "WHERE target_index IS NOT NULL AND status IN ('OK', 'ZERO', 'FLAT') "
        "GROUP BY target_index ORDER BY rows DESC, target_index"
    )
    indices = np.array([row["target_index"] for row in classes], int)
    group_of = {int(index): group for group, index in enumerate(indices)}
    columns = ", ".join(f"CAST({measure.sql} AS DOUBLE) AS m{place}" for place, measure in enumerate(measures))
    found = table.arrays(
        f"SELECT target_index, {columns} FROM statistics WHERE status IN ('OK', 'ZERO', 'FLAT') AND {one_of_each()} "
        "ORDER BY image_id, target_index"
    )
    values = np.stack([found[f"m{place}"].astype(np.float64) for place in range(len(measures))], axis=1)
    groups = np.array([group_of[int(index)] for index in found["target_index"]], int)
    count = len(classes)
    means = group_means(values, groups, count)
    p_values, rest = (np.full((count, len(measures)), np.nan) for _ in range(2))
    for place, measure in enumerate(measures):
        tested, rest[:, place] = larger_than_rest(values[:, place], groups, count)
        if measure.alarm is not None:
            p_values[:, place] = np.where(means.count[:, place] >= FEWEST_MAPS, tested, np.nan)
    p_values = holm(p_values)
    least = np.array([np.inf if measure.alarm is None else measure.alarm for measure in measures])
    with np.errstate(invalid="ignore"):
        flags = (p_values < SIGNIFICANCE) & (means.low >= np.maximum(LEAST_RATIO * rest, least))
    precision, recall = _accuracy(table, group_of)
    return ClassAudit(
        measures=tuple(measures),
        indices=indices,
        names=tuple(str(row["target_index"]) if row["name"] is None else row["name"] for row in classes),
        rows=np.array([row["rows"] for row in classes], int),
        zero_maps=np.array([row["zero"] for row in classes], int),
        precision=precision,
        recall=recall,
        means=means,
        overall=group_means(values, np.zeros(len(values), int), 1),
        ratio=np.divide(means.mean, rest, out=np.full(rest.shape, np.nan), where=rest > 0),
        p_values=p_values,
        flags=flags,
    )


def mean_maps(table: AuditTable, indices: Sequence[int], height: int, width: int) -> MeanMaps:
    """The mean maps of the classes ``indices``; each map counts the same, whatever its score."""
    group_of = {int(index): group for group, index in enumerate(indices)}
    shape = (len(group_of), height * width)
    mean, spread, right, wrong = (np.full(shape, np.nan) for _ in range(4))
    cells = (
        "SELECT target_index, is_correct, generate_subscripts(cam, 1) AS cell, "
        "len(cam) * unnest(cam) / list_sum(cam) AS lift FROM statistics WHERE status IN ('OK', 'FLAT')"
    )
    found = table.arrays(
        "SELECT target_index, cell, count(*) AS maps, avg(lift) AS mean, stddev_samp(lift) AS spread, "
        "avg(lift) FILTER (is_correct) AS right_mean, "
        f"avg(lift) FILTER (NOT is_correct) AS wrong_mean FROM ({cells}) GROUP BY target_index, cell"
    )
    known = np.isin(found["target_index"], list(group_of))
    groups = np.array([group_of[int(index)] for index in found["target_index"][known]], int)
    place = (groups, found["cell"][known].astype(int) - 1)
    for picture, column in ((mean, "mean"), (spread, "spread"), (right, "right_mean"), (wrong, "wrong_mean")):
        picture[place] = found[column][known]
    everywhere = found["cell"].astype(int) - 1
    maps = np.bincount(everywhere, weights=found["maps"], minlength=height * width)
    lifts = np.bincount(everywhere, weights=found["maps"] * found["mean"], minlength=height * width)
    overall = np.divide(lifts, maps, out=np.full(height * width, np.nan), where=maps > 0)
    grids = [picture.reshape(-1, height, width) for picture in (mean, spread, right, wrong)]
    return MeanMaps(grids[0], grids[1], grids[2], grids[3], overall.reshape(height, width))


def _accuracy(table: AuditTable, group_of: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall by class; NaN where no image has a label, or several may be true of it."""
    images = (
        "SELECT image_id, any_value(predicted_index) AS predicted, any_value(label_index) AS label FROM statistics "
        "WHERE label_index IS NOT NULL AND predicted_index IS NOT NULL AND outcome IS NULL GROUP BY image_id"
    )
    shares = []
    for column in ("predicted", "label"):
        share = np.full(len(group_of), np.nan)
        found = table.records(
            f"SELECT {column} AS class, avg(CAST(predicted = label AS INT)) AS share FROM ({images}) GROUP BY {column}"
        )
        for row in found:
            if row["class"] in group_of:
                share[group_of[row["class"]]] = row["share"]
        shares.append(share)
    return shares[0], shares[1]
