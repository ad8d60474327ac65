"""What the embeddings of a run say of its images, as a table beside that of the statistics."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.errors import AuditError
from pipeline.audit.inputs.database import quoted
from pipeline.runs import Run
from transforms.storage import Storage

NEIGHBOUR_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("neighbours", pa.list_(pa.string())),  # image ids, the nearest first, without those of its own group
        ("neighbour_distances", pa.list_(pa.float32())),  # 1 - cosine, 0..2
        ("duplicate_group", pa.int32()),  # number of the group of near duplicates; NULL where there is no other
        ("is_copy", pa.bool_()),  # a member of a group, but not its first: tests leave it out
        ("leaks", pa.bool_()),  # its group lies in several splits
        ("suggested_index", pa.int32()),  # class that the label perhaps should be; NULL where the label stands
        ("label_votes", pa.float32()),  # share of the neighbours' votes for the label, 0..1
        ("predicted_votes", pa.float32()),  # for the predicted class
        ("outlier_score", pa.float32()),  # distance to the five nearest over the median of all images
        ("is_outlier", pa.bool_()),
        ("embedding_group", pa.int32()),  # photos that look alike to the model; NULL where there are too few
        ("emb_x", pa.float32()),  # first principal component
        ("emb_y", pa.float32()),
    ]
)


def copy_neighbours(run: Run | None, folder: Path, storage: Storage) -> Path:
    """A path on this machine of a run's neighbours; of an empty table, where the run has none, or there is no run.

    Raises:
        AuditError: the file is no such table.
    """
    folder.mkdir(exist_ok=True)
    empty = folder / "no-neighbours.parquet"
    pq.write_table(NEIGHBOUR_SCHEMA.empty_table(), empty)
    if run is None or not storage.exists(run.files.neighbours):
        return empty
    uri = run.files.neighbours
    path = storage.to_local(uri, folder / "neighbours.parquet")
    try:
        if pq.read_schema(path).remove_metadata() == NEIGHBOUR_SCHEMA:
            return path
        cause = "its columns are others"
    except (pa.ArrowException, OSError) as error:
        cause = str(error)
    raise AuditError(f"{uri} is not what this version writes ({cause}): make it again by beam-gradcam neighbours")


def load_neighbours(database: duckdb.DuckDBPyConnection, name: str, path: Path, uri: str) -> None:
    """Make the tables ``<name>_neighbours`` and, of the images that are there once more, ``<name>_copies``."""
    neighbours, copies = quoted(f"{name}_neighbours"), quoted(f"{name}_copies")
    try:
        database.execute(
            f"CREATE TABLE {neighbours} AS SELECT * FROM read_parquet($path) "
            f"WHERE image_id IN (SELECT image_id FROM {quoted(name)})",
            {"path": str(path)},
        )
    except duckdb.Error as error:
        raise AuditError(f"{uri} is damaged ({error}): make it again by beam-gradcam neighbours") from error
    database.execute(f"CREATE TABLE {copies} AS SELECT image_id FROM {neighbours} WHERE is_copy")


def one_of_each(name: str = "statistics") -> str:
    """An SQL condition: of duplicates, one. Tests take rows as independent, which copies are not."""
    return f"image_id NOT IN (SELECT image_id FROM {quoted(f'{name}_copies')})"
