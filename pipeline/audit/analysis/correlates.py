"""Which property of an image goes with where the model looks."""

import dataclasses

import numpy as np
from scipy import stats

from pipeline.audit.analysis.intervals import holm
from pipeline.audit.inputs import AuditTable, one_of_each, quoted

SAMPLE = 200_000  # rows; the error of a correlation is then below 0.005
SIGNIFICANCE = 0.01
LEAST_CORRELATION = 0.1  # below, a correlation explains less than 1 % of the variance
_MOST_VALUES = 50  # of a categorical column

COVARIATES = {
    "brightness": "brightness",
    "contrast": "contrast",
    "sharpness": "sharpness",
    "saturation": "saturation",
    "pixels": "CAST(width AS DOUBLE) * height",
    "aspect ratio": "width / height",
    "bytes per pixel": "byte_count / (CAST(width AS DOUBLE) * height)",
}
LOOKS = {
    "border": "border_lift",
    "corner": "corner_lift",
    "centre": "center_mass",
    "across": "centroid_x",
    "down": "centroid_y",
    "area": "effective_area",
    "object": "gt_lift",
    "probability": "target_probability",
}


@dataclasses.dataclass(frozen=True)
class Correlate:
    """How strongly a covariate goes with a measure of the maps, classes apart."""

    covariate: str
    look: str
    strength: float  # numeric: Spearman's rho, -1..1; categorical: eta, the root of the explained share, 0..1
    raw: float  # the same without taking the classes apart
    p_value: float  # adjusted over all pairs
    count: int
    is_categorical: bool

    @property
    def is_notable(self) -> bool:
        return self.p_value < SIGNIFICANCE and abs(self.strength) >= LEAST_CORRELATION


def find_correlates(table: AuditTable) -> list[Correlate]:
    """Every covariate against every measure of where the model looks.

    Both are ranked, and the mean rank of each class is taken off, so that a camera that happens to show only one
    class does not pass for a cause. Numeric columns: Spearman's rho with a t-test. Other manifest columns with 2 to 50
    values: eta of the ranks with an F-test (Kruskal and Wallis, classes apart). p-values adjusted after Holm. Of near
    duplicates, where they are known, one counts.
    """
    numeric, categorical = _extra_columns(table)
    sources = COVARIATES | {name: f"TRY_CAST({quoted(name)} AS DOUBLE)" for name in numeric}
    select = [f"CAST({sql} AS DOUBLE) AS c{place}" for place, sql in enumerate(sources.values())]
    select += [f"CAST({sql} AS DOUBLE) AS l{place}" for place, sql in enumerate(LOOKS.values())]
    select += [f"{quoted(name)} AS g{place}" for place, name in enumerate(categorical)]
    columns = table.arrays(
        f"SELECT target_index, {', '.join(select)} FROM statistics WHERE status IN ('OK', 'FLAT') AND {one_of_each()} "
        f"ORDER BY hash(image_id), image_id, target_index LIMIT {SAMPLE}"
    )
    classes = np.unique(columns["target_index"], return_inverse=True)[1]
    found = []
    for look_place, look in enumerate(LOOKS):
        looks = columns[f"l{look_place}"].astype(np.float64)
        for place, name in enumerate(sources):
            found.append(_numeric(name, look, columns[f"c{place}"].astype(np.float64), looks, classes))
        for place, name in enumerate(categorical):
            found.append(_categorical(name, look, columns[f"g{place}"], looks, classes))
    kept = [correlate for correlate in found if correlate is not None]
    adjusted = holm(np.array([correlate.p_value for correlate in kept]))
    return [dataclasses.replace(correlate, p_value=float(p)) for correlate, p in zip(kept, adjusted, strict=True)]


def _numeric(name: str, look: str, values: np.ndarray, looks: np.ndarray, classes: np.ndarray) -> Correlate | None:
    known = ~(np.isnan(values) | np.isnan(looks))
    if known.sum() < 10 or np.ptp(values[known]) == 0 or np.ptp(looks[known]) == 0:
        return None
    ranks, look_ranks = stats.rankdata(values[known]), stats.rankdata(looks[known])
    raw = float(np.corrcoef(ranks, look_ranks)[0, 1])
    within, look_within = _without_class(ranks, classes[known]), _without_class(look_ranks, classes[known])
    freedom = len(ranks) - len(np.unique(classes[known])) - 1
    scale = np.sqrt((within**2).sum() * (look_within**2).sum())
    if freedom < 3 or scale == 0:
        return None
    rho = float(np.clip((within * look_within).sum() / scale, -1, 1))
    t = rho * np.sqrt(freedom / max(1 - rho**2, 1e-12))
    return Correlate(name, look, rho, raw, float(2 * stats.t.sf(abs(t), freedom)), len(ranks), False)


def _categorical(name: str, look: str, values: np.ndarray, looks: np.ndarray, classes: np.ndarray) -> Correlate | None:
    known = ~np.isnan(looks) & np.array([value is not None for value in values])
    if known.sum() < 10 or np.ptp(looks[known]) == 0:
        return None
    groups = np.unique(values[known].astype(str), return_inverse=True)[1]
    kinds = classes[known]
    ranks = stats.rankdata(looks[known])
    within = _without_class(ranks, kinds)
    # The groups' indicator columns with the classes taken off: least squares then splits off what the groups explain.
    if groups.max() == 0:
        return None
    chosen = [(groups == group).astype(np.float64) for group in range(1, groups.max() + 1)]
    indicators = np.stack([_without_class(column, kinds) for column in chosen], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(indicators, within, rcond=None)
    total = float((within**2).sum())
    freedom = len(ranks) - len(np.unique(kinds)) - int(rank)
    if rank == 0 or freedom < 3 or total == 0:
        return None
    explained = min(float(((indicators @ solution) ** 2).sum()), total)
    f = (explained / rank) / max((total - explained) / freedom, 1e-12)
    centred = ranks - ranks.mean()
    raw = np.sqrt((centred - _without_class(ranks, groups)) @ centred / (centred @ centred))
    return Correlate(
        name, look, float(np.sqrt(explained / total)), float(raw), float(stats.f.sf(f, rank, freedom)), len(ranks), True
    )


def _without_class(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The values less the mean of their class."""
    sizes = np.maximum(np.bincount(classes), 1)
    return values - (np.bincount(classes, weights=values) / sizes)[classes]


def _extra_columns(table: AuditTable) -> tuple[list[str], list[str]]:
    """The manifest's further columns: those that hold numbers, and those with few enough different texts."""
    numeric, categorical = [], []
    for name in table.extra_columns:
        column = quoted(name)
        present, numbers, different = table.database.execute(
            f"SELECT count({column}), count(TRY_CAST({column} AS DOUBLE)), approx_count_distinct({column}) "
            "FROM statistics"
        ).fetchall()[0]
        if present and numbers == present and different > 2:
            numeric.append(name)
        elif 2 <= different <= _MOST_VALUES:
            categorical.append(name)
    return numeric, categorical
