"""Images in a column of a Parquet file: bytes, or Hugging Face's ``{bytes, path}``."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.containers.part_of_file import PartOfFile

_ROWS = 32  # that are decoded together
_READ = 1 << 16  # bytes of a column that are read at a time
_INNER = "bytes"  # of Hugging Face's structs


class NoImageError(ValueError):
    """There is no such column, or nothing in it."""


@dataclasses.dataclass(frozen=True)
class ImageColumn:
    """Where the images of a Parquet file are."""

    name: str
    leaf: str  # path of the bytes in the schema: the column itself, or its ``bytes``


def image_columns(schema: pa.Schema) -> list[ImageColumn]:
    """The columns that may hold images."""
    found = []
    for field in schema:
        if _is_binary(field.type):
            found.append(ImageColumn(field.name, field.name))
        elif pa.types.is_struct(field.type) and any(
            inner.name == _INNER and _is_binary(inner.type) for inner in field.type
        ):
            found.append(ImageColumn(field.name, f"{field.name}.{_INNER}"))
    return found


def span_of_group(metadata: pq.FileMetaData, leaf: str, group: int) -> tuple[int, int]:
    """(first byte, how many) of the values of a column in a row group."""
    rows = metadata.row_group(group)
    for position in range(rows.num_columns):
        column = rows.column(position)
        if column.path_in_schema == leaf:
            start = column.data_page_offset
            if column.has_dictionary_page:
                start = min(start, column.dictionary_page_offset)
            return start, column.total_compressed_size
    raise NoImageError(f"there is no column {leaf}")


def group_of_row(metadata: pq.FileMetaData, row: int) -> tuple[int, int]:
    """(row group, row within it) of a row of the file."""
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < rows:
            return group, row
        row -= rows
    raise NoImageError(f"the file has only {metadata.num_rows:,} rows")


def decode_group(metadata: pq.FileMetaData, leaf: str, group: int, chunk: bytes) -> pa.ChunkedArray:
    """The images of a row group.

    Args:
        chunk: the bytes of :func:`span_of_group`.
    """
    start, _ = span_of_group(metadata, leaf, group)
    file = pq.ParquetFile(_Chunk(start, chunk), metadata=metadata)
    table = file.read_row_group(group, columns=[leaf], use_threads=False)
    column = table.column(0)
    if pa.types.is_struct(column.type):
        return pa.chunked_array([piece.field(_INNER) for piece in column.chunks], column.type.field(_INNER).type)
    return column


def stream_group(metadata: pq.FileMetaData, leaf: str, group: int, file: IO[bytes]) -> Iterator[pa.Array]:
    """The images of a row group, some at a time, read from front to back: a page of them is in memory.

    Args:
        file: of which the bytes of :func:`span_of_group` are there.
    """
    parquet = pq.ParquetFile(file, metadata=metadata, buffer_size=_READ, pre_buffer=False)
    for batch in parquet.iter_batches(_ROWS, row_groups=[group], columns=[leaf], use_threads=False):
        column = batch.column(0)
        yield column.field(_INNER) if pa.types.is_struct(column.type) else column


def hugging_face_names(schema: pa.Schema, column: str) -> Sequence[str] | None:
    """What the classes of a ``ClassLabel`` column are called; None where the file does not say it."""
    try:
        tree = json.loads((schema.metadata or {})[b"huggingface"])
        names = tree["info"]["features"][column]["names"]
        return tuple(names) if all(isinstance(name, str) for name in names) else None
    except (KeyError, TypeError, ValueError):
        return None


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


class _Chunk(PartOfFile):
    """The part of a file that has been fetched."""

    def __init__(self, start: int, content: bytes):
        super().__init__(start, start + len(content))
        self._content = memoryview(content)

    def some(self, begin: int, most: int) -> memoryview:
        return self._content[begin : begin + most]
