"""The neighbours of a run's images, in a file that the report and the explorer read."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.errors import AuditError
from pipeline.audit.inputs import NEIGHBOUR_SCHEMA, AuditTable, open_table, parts_of, quoted
from pipeline.audit.neighbours.duplicates import group_pairs, near_duplicates, same_content
from pipeline.audit.neighbours.groups import group_alike
from pipeline.audit.neighbours.judge import are_outliers, label_candidates, others_only, outlier_scores, vote
from pipeline.audit.neighbours.search import EXACT_UP_TO, Nearest, find_nearest, has_graph
from pipeline.audit.neighbours.vectors import Vectors, read_vectors
from pipeline.runs import Run
from transforms.storage import Storage

SPLIT = "split"
"""The manifest's column that says which images a model learns from and which it is judged by."""

_SEARCHED = 20  # neighbours that are looked at
_TOLD = 10  # of them, those that are written down
_ROWS = 65_536  # that are written at a time


@dataclasses.dataclass(frozen=True)
class Found:
    """What came of it, in numbers."""

    images: int  # that have an embedding
    groups: int  # of duplicates
    copies: int  # images beyond the first of each group
    leaking: int  # groups that lie in several splits
    label_candidates: int
    outliers: int
    is_exact: bool
    kept_variance: float


def write_neighbours(run: Run, storage: Storage, say: Callable[[str], None], split: str | None = None) -> Found:
    """Make ``runs/<run_id>/neighbours.parquet``.

    Args:
        split: the column of splits; None: that called ``split``, where there is one.

    Raises:
        AuditError: no image of the run has an embedding, or there is no such column.
    """
    with open_table({"statistics": run}, storage) as table:
        if split is not None and split not in table.extra_columns:
            known = ", ".join(table.extra_columns) or "none"
            raise AuditError(f"there is no column {split!r} of the manifest in the table; it has {known}")
        split = split or (SPLIT if SPLIT in table.extra_columns else None)
        images = _images(table, split)
    ids = images["image_id"].astype("S32")
    vectors = read_vectors(parts_of(run, storage), ids, images["run_id"], storage)
    if len(vectors.places) < 2:
        raise AuditError(
            f"run {run.run_id} of {run.output} has no embeddings: run it again with explain.embedding: true, which "
            "explains its images anew"
        )
    say(f"{len(vectors.places):,} images, {vectors.units.shape[1]} values each")
    if len(vectors.places) > EXACT_UP_TO and not has_graph():
        say(
            "usearch is not installed, so every pair is compared: minutes for a hundred thousand images, hours for a "
            "million. pip install 'beam-gradcam[neighbours]' brings it"
        )
    nearest = find_nearest(vectors.units, _SEARCHED)
    own = {name: column[vectors.places] for name, column in images.items()}
    first, second = near_duplicates(nearest)
    same = same_content(own["content"])
    groups = group_pairs(np.concatenate([first, same[0]]), np.concatenate([second, same[1]]), len(vectors.places))
    columns = _columns(own, vectors, nearest, groups)
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as folder:
        path = Path(folder) / "neighbours.parquet"
        _write(path, ids[vectors.places].astype("U32"), others_only(nearest, groups), columns)
        storage.put(run.files.neighbours, path.read_bytes())
    return Found(
        images=len(groups),
        groups=int(groups.max(initial=-1)) + 1,
        copies=int(columns["is_copy"].sum()),
        leaking=len(np.unique(groups[columns["leaks"]])),
        label_candidates=int((columns["suggested_index"] >= 0).sum()),
        outliers=int(columns["is_outlier"].sum()),
        is_exact=nearest.is_exact,
        kept_variance=vectors.kept,
    )


def _images(table: AuditTable, split: str | None) -> dict[str, np.ndarray]:
    """The explained images of a run in the order of their ids, with what is asked of their neighbours."""
    column = quoted(split) if split else "NULL"
    found = table.arrays(
        "SELECT image_id, any_value(run_id) AS run_id, "  # DuckDB has a hash of NULL, too
        "coalesce(any_value(CASE WHEN content_sha256 IS NOT NULL THEN hash(content_sha256) END), 0) AS content, "
        f"coalesce(any_value(CASE WHEN {column} IS NOT NULL THEN hash(CAST({column} AS VARCHAR)) END), 0) AS split, "
        "coalesce(any_value(CASE WHEN outcome IS NULL THEN label_index END), -1) AS label, "
        "coalesce(any_value(predicted_index), -1) AS predicted "
        "FROM statistics WHERE status IN ('OK', 'ZERO', 'FLAT', 'NONFINITE') GROUP BY image_id ORDER BY image_id"
    )
    return {name: np.asarray(column) for name, column in found.items()}


def _columns(own: dict[str, np.ndarray], vectors: Vectors, nearest: Nearest, groups: np.ndarray) -> dict[str, Any]:
    """All that is written but the neighbours themselves."""
    others = others_only(nearest, groups)
    labels, predicted = own["label"].astype(np.int64), own["predicted"].astype(np.int64)
    votes = vote(others, labels, predicted)
    candidates = label_candidates(votes, labels, predicted)
    scores = outlier_scores(others)
    _, firsts = np.unique(groups, return_index=True)
    is_first = np.zeros(len(groups), bool)
    is_first[firsts] = True
    return {
        "duplicate_group": groups,
        "is_copy": (groups >= 0) & ~is_first,
        "leaks": _leaks(groups, own["split"]),
        "suggested_index": np.where(candidates, predicted, -1),
        "label_votes": votes.label,
        "predicted_votes": votes.predicted,
        "outlier_score": scores,
        "is_outlier": are_outliers(others),
        "embedding_group": group_alike(vectors.units),
        "emb_x": vectors.plane[:, 0],
        "emb_y": vectors.plane[:, 1],
    }


def _leaks(groups: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Images of groups that lie in several splits, bool ``[N]``; splits as numbers, 0 where nothing is said."""
    known = (groups >= 0) & (splits != 0)
    pairs = np.unique(np.stack([groups[known].astype(np.uint64), splits[known].astype(np.uint64)]), axis=1)
    numbers, counts = np.unique(pairs[0], return_counts=True)
    return np.isin(groups, numbers[counts > 1].astype(np.int64)) & (groups >= 0)


def _write(path: Path, ids: np.ndarray, others: Nearest, columns: dict[str, Any]) -> None:
    with pq.ParquetWriter(path, NEIGHBOUR_SCHEMA, compression="zstd") as writer:
        for start in range(0, len(ids), _ROWS):
            rows = slice(start, start + _ROWS)
            writer.write_table(_table(ids, others, columns, rows))


def _table(ids: np.ndarray, others: Nearest, columns: dict[str, Any], rows: slice) -> pa.Table:
    places, distances = others.places[rows, :_TOLD], others.distances[rows, :_TOLD]
    known = places >= 0
    offsets = pa.array(np.concatenate([[0], np.cumsum(known.sum(axis=1))]).astype(np.int32))
    arrays: dict[str, pa.Array] = {
        "image_id": pa.array(ids[rows].tolist(), pa.string()),
        "neighbours": pa.ListArray.from_arrays(offsets, pa.array(ids[places[known]].tolist(), pa.string())),
        "neighbour_distances": pa.ListArray.from_arrays(offsets, pa.array(distances[known], pa.float32())),
    }
    for name, values in columns.items():
        part, kind = values[rows], NEIGHBOUR_SCHEMA.field(name).type
        if pa.types.is_integer(kind):
            arrays[name] = pa.array(part, kind, mask=part < 0)
        else:
            arrays[name] = pa.array(part, from_pandas=True).cast(kind)
    return pa.table([arrays[field.name] for field in NEIGHBOUR_SCHEMA], schema=NEIGHBOUR_SCHEMA)
