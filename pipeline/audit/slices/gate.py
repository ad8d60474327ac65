"""Thresholds of a comparison that hold for each slice."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.audit.analysis import group_means
from pipeline.audit.errors import AuditError
from pipeline.audit.inputs import AuditTable, Measure
from pipeline.audit.slices.measure import RIGHT, image_values
from pipeline.audit.slices.spec import SliceSpec, split_images


def check_slices(
    table: AuditTable,
    key: str,
    specs: Sequence[SliceSpec],
    max_accuracy_drop: float | None,
    max_ratio: Mapping[str, float],
    measures: Sequence[Measure],
) -> list[str]:
    """Why the gate is closed: each slice of the later run that is worse than it may be, and surely is worse at all.

    A slice loses accuracy where the mean over the images of both runs of right after less right before falls by more
    than the threshold, and the 95 % interval of that mean is below 0. It has too much of a measure where its mean is
    more than so many times that of all other images, and the interval's lower end is above the mean of the others.

    Args:
        table: of the tables ``before`` and ``after``.
        key: by which their images are matched.
    """
    if max_accuracy_drop is None and not max_ratio:
        return []
    if not specs:
        return ["compare.max_slice_accuracy_drop, max_slice_ratio: nothing to measure: audit.slices names no slices"]
    chosen = {measure.name: measure for measure in measures}
    for name in max_ratio:
        if name not in chosen:
            raise AuditError(f"compare.max_slice_ratio: {name!r} is no measure of these runs: {', '.join(chosen)}")
    reasons = []
    changes = None if max_accuracy_drop is None else _changes(table, key)
    if changes is not None and np.isnan(changes).all():
        reasons.append("compare.max_slice_accuracy_drop: nothing to measure: no image of both runs has a label")
    for spec in specs:
        split = split_images(table, spec, name="after")
        groups = np.where(split.groups < 0, len(split.names), split.groups)
        if changes is not None:
            means = group_means(changes[:, None], groups, len(split.names) + 1)
            for group, name in enumerate(split.names):
                if -means.mean[group, 0] > max_accuracy_drop and means.high[group, 0] < 0:
                    reasons.append(
                        f"compare.max_slice_accuracy_drop: {name}: the share that is right falls by "
                        f"{-means.mean[group, 0]:.4g} over {means.count[group, 0]:.0f} images, more than "
                        f"{max_accuracy_drop:g}"
                    )
        for measure, limit in max_ratio.items():
            values = image_values(table, [chosen[measure]], "after")[1]
            means = group_means(values, groups, len(split.names) + 1)
            sums, counts = np.nansum(values), np.sum(~np.isnan(values))
            for group, name in enumerate(split.names):
                others = counts - means.count[group, 0]
                if not others or not means.count[group, 0]:
                    continue
                rest = (sums - means.mean[group, 0] * means.count[group, 0]) / others
                if means.mean[group, 0] > limit * rest and means.low[group, 0] > rest:
                    reasons.append(
                        f"compare.max_slice_ratio: {name}: {measure} is {means.mean[group, 0]:.4g}, more than "
                        f"{limit:g} times the {rest:.4g} of the other images"
                    )
    return reasons


def _changes(table: AuditTable, key: str) -> np.ndarray:
    """Right after less right before, -1..1, of the later run's images in the order of their ids; NaN without both."""
    found = table.arrays(
        f"WITH b AS (SELECT {key} AS key, any_value({RIGHT.sql}) AS is_right FROM before WHERE {key} IS NOT NULL "
        f"GROUP BY {key}) SELECT a.image_id, any_value({_of('a')}) - any_value(b.is_right) AS change "
        f"FROM after a LEFT JOIN b ON a.{key} = b.key WHERE a.status IN ('OK', 'ZERO', 'FLAT') "
        "GROUP BY a.image_id ORDER BY a.image_id"
    )
    return found["change"].astype(np.float64)


def _of(name: str) -> str:
    return RIGHT.sql.replace("outcome", f"{name}.outcome").replace("is_correct", f"{name}.is_correct")
