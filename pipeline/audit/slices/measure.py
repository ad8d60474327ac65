"""Each slice that was asked for against all other images: accuracy, every measure, the mean map."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from scipy.stats import rankdata

from pipeline.audit.analysis import FEWEST_MAPS, Means, group_maps, group_means, holm, larger_than_rest
from pipeline.audit.inputs import AuditTable, Measure
from pipeline.audit.slices.spec import SliceSpec, Split, images_of, split_images

RIGHT = Measure(
    "right", "right", "CAST(CASE WHEN outcome IS NULL THEN is_correct END AS DOUBLE)", "share of labelled images"
)
_MOST_MAPS = 2000  # of a slice, for its mean map: those with the smallest ids, which are hashes


@dataclasses.dataclass(frozen=True, eq=False)
class SliceAudit:
    """The G slices of one entry of ``audit.slices``, in k measures; an image counts once, by its most probable map."""

    title: str
    names: tuple[str, ...]
    measures: tuple[Measure, ...]
    images: np.ndarray  # int [G]
    means: Means  # [G, k]
    rest: np.ndarray  # [G, k], mean of all other images
    delta: np.ndarray  # [G, k], Cliff's, against all other images, -1..1
    p_values: np.ndarray  # [G, k], two-sided rank-sum test, adjusted over all entries and measures; NaN: no test
    maps: np.ndarray  # [G, h, w], mean lift of each cell; NaN without maps
    groups: np.ndarray  # int [N]: the slice of each image, in the order of the ids; -1: none
    ids: np.ndarray  # [N]


def audit_slices(
    table: AuditTable, specs: Sequence[SliceSpec], measures: Sequence[Measure], grid: tuple[int, int]
) -> list[SliceAudit]:
    """Measure every slice.

    Raises:
        AuditError: an entry is no column, covariate or condition.
    """
    measures = _measures(table, measures)
    splits = [split_images(table, spec) for spec in specs]
    ids, values = image_values(table, measures)
    found = [_measure(table, split, ids, values, measures, grid) for split in splits]
    if not found:
        return []
    adjusted = holm(np.concatenate([each.p_values.ravel() for each in found]))
    ends = np.cumsum([each.p_values.size for each in found])
    return [
        dataclasses.replace(each, p_values=adjusted[end - each.p_values.size : end].reshape(each.p_values.shape))
        for each, end in zip(found, ends.tolist(), strict=True)
    ]


def image_values(
    table: AuditTable, measures: Sequence[Measure], name: str = "statistics"
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and measures, float64 ``[N, k]`` with NaN for NULL, of the images in the order of their ids."""
    columns = ", ".join(f"CAST({measure.sql} AS DOUBLE) AS m{place}" for place, measure in enumerate(measures))
    found = table.arrays(f"SELECT image_id, {columns} FROM {images_of(name)} ORDER BY image_id")
    values = [found[f"m{place}"].astype(np.float64) for place in range(len(measures))]
    return found["image_id"], np.stack(values, axis=1)


def _measures(table: AuditTable, measures: Sequence[Measure]) -> list[Measure]:
    counted = table.database.execute(f"SELECT count({RIGHT.sql}) FROM statistics").fetchall()[0][0]
    return [RIGHT, *measures] if counted else list(measures)


def _measure(
    table: AuditTable,
    split: Split,
    ids: np.ndarray,
    values: np.ndarray,
    measures: Sequence[Measure],
    grid: tuple[int, int],
) -> SliceAudit:
    count = len(split.names)
    groups = np.where(split.groups < 0, count, split.groups)  # one more, for the images of no slice
    means = group_means(values, groups, count + 1)
    shape = (count, len(measures))
    rest, delta, p_values = (np.full(shape, np.nan) for _ in range(3))
    for place in range(len(measures)):
        column = values[:, place]
        tested, others = larger_than_rest(column, groups, count + 1, two_sided=True)
        known = ~np.isnan(column)
        sizes = np.bincount(groups[known], minlength=count + 1)[:count]
        enough = (sizes >= FEWEST_MAPS) & (known.sum() - sizes >= FEWEST_MAPS)
        p_values[:, place] = np.where(enough, tested[:count], np.nan)
        rest[:, place] = others[:count]
        delta[:, place] = _cliffs_deltas(column[known], groups[known], count)
    return SliceAudit(
        title=split.title,
        names=split.names,
        measures=tuple(measures),
        images=np.bincount(groups, minlength=count + 1)[:count],
        means=Means(*(getattr(means, field.name)[:count] for field in dataclasses.fields(Means))),
        rest=rest,
        delta=delta,
        p_values=p_values,
        maps=_mean_maps(table, ids, split, grid),
        groups=split.groups,
        ids=ids,
    )


def _cliffs_deltas(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Of each group against all others: from the rank sums, 2 U / (n m) - 1."""
    sizes = np.bincount(groups, minlength=count + 1)[:count].astype(np.float64)
    others = len(values) - sizes
    sums = np.bincount(groups, weights=rankdata(values), minlength=count + 1)[:count]
    pairs = sizes * others
    return np.divide(2 * (sums - sizes * (sizes + 1) / 2), pairs, out=np.full(count, np.nan), where=pairs > 0) - 1


def _mean_maps(table: AuditTable, ids: np.ndarray, split: Split, grid: tuple[int, int]) -> np.ndarray:
    inside = split.groups >= 0
    members = pa.table({"image_id": pa.array(ids[inside].tolist(), pa.string()), "bin": split.groups[inside]})
    table.database.register("slice_members", members)
    try:
        maps = group_maps(
            table,
            f"SELECT bin, cam FROM slice_members JOIN {images_of('statistics')} USING (image_id) "
            "WHERE status IN ('OK', 'FLAT') "
            f"QUALIFY row_number() OVER (PARTITION BY bin ORDER BY image_id) <= {_MOST_MAPS}",
            *grid,
        )
    finally:
        table.database.unregister("slice_members")
    return np.stack([maps.get(group, np.full(grid, np.nan)) for group in range(len(split.names))])
