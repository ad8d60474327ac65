"""The table of embeddings beside that of the statistics: one row per explained image.

A part of it lies at ``embeddings/run=.../part-<shard>.parquet`` and is written before the part of the statistics, so
that a committed part always has its embeddings. What lies there without a part of the statistics is left of a run that
died, and nobody reads it.

The values are rounded to float16 and stored as float32: Spark reads no FLOAT16, and 16-bit numbers in a binary column
would be closed to SQL. A file has few different values then, so that Parquet's dictionaries and zstd bring a value to
less than two bytes all the same.
"""

import contextlib
import io
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.storage import Storage, not_state, patiently
from transforms.table.location import embeddings_beside

EMBEDDING_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),  # as in the statistics
        ("uri", pa.string()),
        ("predicted_index", pa.int32()),  # class with the highest score; NULL where the model gives values
        ("embedding", pa.list_(pa.float32())),  # D values, rounded to float16; NULL where one is beyond float16
        ("probabilities", pa.list_(pa.float32())),  # of all classes; NULL unless asked for
    ]
)
_BATCH = 4096  # rows that are read at a time


def embedding_table(
    image_ids: Sequence[str],
    uris: Sequence[str | None],
    predicted: pa.Array,
    features: np.ndarray,
    probabilities: np.ndarray | None,
) -> pa.Table:
    """Rows of :data:`EMBEDDING_SCHEMA`.

    Args:
        features: float16 ``[n, D]``; where it is not finite, the embedding is NULL.
        probabilities: float32 ``[n, C]``.
    """
    columns = [
        pa.array(image_ids, pa.string()),
        pa.array(uris, pa.string()),
        predicted.cast(pa.int32()),
        _lists(features.astype(np.float32)),
        pa.nulls(len(image_ids), pa.list_(pa.float32())) if probabilities is None else _lists(probabilities),
    ]
    return pa.table(columns, schema=EMBEDDING_SCHEMA)


def encode_embeddings(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=_BATCH)
    return buffer.getvalue()


def read_embeddings(part: str, storage: Storage, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The embeddings beside a part of the statistics, some thousand rows at a time; nothing where there are none.

    Raises:
        StateError: the file is damaged, or not of this job.
    """
    uri = embeddings_beside(part)
    try:
        opened = patiently(lambda: storage.open(uri), uri, storage.timeout)
    except FileNotFoundError:
        return
    with contextlib.closing(opened) as file:
        try:
            parquet = pq.ParquetFile(file)
            if parquet.schema_arrow.remove_metadata() != EMBEDDING_SCHEMA:
                raise pa.ArrowInvalid(f"its columns are {', '.join(parquet.schema_arrow.names)}"[:300])
            yield from parquet.iter_batches(_BATCH, columns=columns)
        except pa.ArrowException as error:
            remedy = f"remove it and {part}, and run the same command again"
            raise not_state(uri, "a part of the embeddings", str(error), remedy) from error


def remove_embeddings(part: str, image_ids: Collection[str] | None, storage: Storage) -> None:
    """Take some images out of the embeddings beside a part of the statistics; None: all of them, with the file."""
    uri = embeddings_beside(part)
    if image_ids is None:
        if storage.exists(uri):
            storage.remove(uri)
        return
    batches = list(read_embeddings(part, storage, EMBEDDING_SCHEMA.names))
    if batches:
        rows = pa.Table.from_batches(batches)
        left = rows.filter(pc.invert(pc.is_in(rows["image_id"], pa.array(image_ids, pa.string()))))
        storage.put(uri, encode_embeddings(left))


def _lists(values: np.ndarray) -> pa.Array:
    """Rows -> lists; a row that is not finite is NULL."""
    rows, width = values.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    missing = pa.array(~np.isfinite(values).all(axis=1))
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()), type=pa.list_(pa.float32()), mask=missing)
