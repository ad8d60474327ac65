"""Conditions that a slice can be made of: bins of covariates, values of manifest columns, groups of maps and photos."""

import dataclasses
import itertools

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from pipeline.audit.analysis import COVARIATES
from pipeline.audit.findings import ENDS
from pipeline.audit.inputs import AuditTable, quoted
from pipeline.audit.slices.spec import images_of

MOST_IMAGES = 100_000  # those with the smallest ids, which are hashes
_BINS = 4  # of a number: quarters of the images
_MOST_VALUES = 50
_MAP_GROUPS = 8
_ALIKE = (
    "coalesce((SELECT embedding_group FROM statistics_neighbours n WHERE n.image_id = images.image_id), -1) AS alike"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """m conditions on N images."""

    ids: np.ndarray  # [N], image ids
    holds: np.ndarray  # bool [N, m]
    columns: np.ndarray  # int [m]
    words: tuple[str, ...]  # m, for a person
    is_wrong: np.ndarray  # float64 [N], NaN without a label
    off_object: np.ndarray  # float64 [N], 1 - gt_mass; NaN without boxes or map


def read_features(table: AuditTable) -> Features:
    """The images of a run with every condition that at least two of its images differ in."""
    extra = {f"x{place}": name for place, name in enumerate(table.extra_columns)}
    select = [f"CAST({sql} AS DOUBLE) AS c{place}" for place, sql in enumerate(COVARIATES.values())]
    select += [f"TRY_CAST({quoted(name)} AS VARCHAR) AS {key}" for key, name in extra.items()]
    found = table.arrays(
        f"SELECT image_id, CASE WHEN outcome IS NULL THEN is_correct END AS is_right, 1 - gt_mass AS off_object, "
        f"CASE WHEN status = 'OK' THEN cam END AS cam, {', '.join(select)}, {_ALIKE} "
        f"FROM {images_of('statistics')} AS images ORDER BY image_id LIMIT {MOST_IMAGES}"
    )
    columns: list[np.ndarray] = []
    owners: list[int] = []
    words: list[str] = []
    for place, name in enumerate(COVARIATES):
        for condition, said in _quarters(found[f"c{place}"].astype(np.float64), name):
            columns.append(condition)
            owners.append(place)
            words.append(said)
    for place, (key, name) in enumerate(extra.items(), len(COVARIATES)):
        for condition, said in _values(found[key], name):
            columns.append(condition)
            owners.append(place)
            words.append(said)
    for condition, said in _map_groups(found["cam"]):
        columns.append(condition)
        owners.append(len(COVARIATES) + len(extra))
        words.append(said)
    for condition, said in _alike_groups(found["alike"].astype(int)):
        columns.append(condition)
        owners.append(len(COVARIATES) + len(extra) + 1)
        words.append(said)
    right = np.array([np.nan if value is None else float(value) for value in found["is_right"]], np.float64)
    return Features(
        ids=found["image_id"],
        holds=np.stack(columns, axis=1) if columns else np.zeros((len(right), 0), bool),
        columns=np.array(owners, int),
        words=tuple(words),
        is_wrong=1 - right,
        off_object=found["off_object"].astype(np.float64),
    )


def _quarters(values: np.ndarray, name: str) -> list[tuple[np.ndarray, str]]:
    known = ~np.isnan(values)
    if not known.any():
        return []
    bounds = np.unique(np.quantile(values[known], np.linspace(0, 1, _BINS + 1)))
    if len(bounds) < 3:
        return []
    said = []
    for place, (low, high) in enumerate(itertools.pairwise(bounds.tolist())):
        is_last = place == len(bounds) - 2
        holds = known & (values >= low) & ((values <= high) if is_last else (values < high))
        ends = ENDS.get(name)
        if place == 0:
            text = f"the {ends[0]} quarter ({name} below {high:.3g})" if ends else f"{name} below {high:.3g}"
        elif is_last:
            text = f"the {ends[1]} quarter ({name} {low:.3g} or more)" if ends else f"{name} {low:.3g} or more"
        else:
            text = f"{name} {low:.3g} to {high:.3g}"
        said.append((holds, text))
    return said


def _values(values: np.ndarray, name: str) -> list[tuple[np.ndarray, str]]:
    known = np.array([value is not None for value in values], bool)
    texts = np.where(known, values.astype(str), "")
    different, counts = np.unique(texts[known], return_counts=True)
    if len(different) < 2:
        return []
    numbers = _numbers(different)
    if numbers is not None and len(different) > 2 * _BINS:
        as_numbers = np.full(len(values), np.nan)
        as_numbers[known] = texts[known].astype(np.float64)
        return _quarters(as_numbers, name)
    if len(different) > _MOST_VALUES:
        return []
    return [(known & (texts == value), f"{name} = {value}") for value in different[np.argsort(-counts, kind="stable")]]


def _numbers(texts: np.ndarray) -> np.ndarray | None:
    try:
        numbers = texts.astype(np.float64)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _map_groups(maps: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Groups of maps that look alike, whatever their class: mini-batch k-means on square roots, as in the clusters."""
    places = np.array([place for place, cam in enumerate(maps) if cam is not None], int)
    if len(places) < _MAP_GROUPS * 10:
        return []
    shares = np.stack([np.asarray(maps[place], np.float64) for place in places])
    roots = np.sqrt(shares / shares.sum(axis=1, keepdims=True))
    with threadpool_limits(1):
        labels = MiniBatchKMeans(_MAP_GROUPS, random_state=0, n_init=3, batch_size=1024).fit_predict(roots)
    groups = []
    for label in range(_MAP_GROUPS):
        holds = np.zeros(len(maps), bool)
        holds[places[labels == label]] = True
        groups.append((holds, f"maps that look like group {label + 1} of {_MAP_GROUPS}"))
    return groups


def _alike_groups(alike: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Groups of photos that look alike to the model, where a run's neighbours are known."""
    return [
        (alike == group, f"photos that look alike to the model, group {group + 1}")
        for group in np.unique(alike[alike >= 0]).tolist()
    ]
