"""Manifests in Parquet: their rows as plain values, and what footers tell without them."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.manifest.columns import check_columns, strip_names
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.storage import Storage


@dataclasses.dataclass(frozen=True)
class ParquetFooter:
    """What a Parquet file says about itself."""

    columns: tuple[str, ...]
    row_groups: tuple[int, ...]  # rows of each


def read_parquet(
    manifest: Manifest, storage: Storage, row_groups: Sequence[int] | None = None, before: int = 0
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of some row groups, numbered from ``before`` + 1. Moments and decimals come as texts."""
    with _open(manifest, storage) as parquet:
        number = before
        names = strip_names(parquet.schema_arrow.names)
        check_columns(names, manifest)
        _check_uris(parquet.schema_arrow.field(names.index(manifest.uri_column)), manifest)
        try:
            for batch in parquet.iter_batches(batch_size=4096, row_groups=row_groups):
                columns = [_values(column, field, manifest)
                           for column, field in zip(batch.columns, batch.schema, strict=True)]  # fmt: skip
                for row in zip(*columns, strict=True):
                    number += 1
                    yield number, dict(zip(names, row, strict=True))
        except pa.ArrowException as error:
            raise ManifestError(
                f"{manifest.shown}: cannot be read after line {number}: {error}; the file is damaged, or of a kind "
                "that pyarrow does not read"
            ) from None


def read_footer(manifest: Manifest, storage: Storage) -> ParquetFooter:
    """Columns and lengths, without a row."""
    with _open(manifest, storage) as parquet:
        names = strip_names(parquet.schema_arrow.names)
        check_columns(names, manifest)
        _check_uris(parquet.schema_arrow.field(names.index(manifest.uri_column)), manifest)
        groups = tuple(parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups))
        return ParquetFooter(tuple(names), groups)


@contextlib.contextmanager
def _open(manifest: Manifest, storage: Storage) -> Iterator[pq.ParquetFile]:
    with storage.open(manifest.uri) as file:
        try:
            parquet = pq.ParquetFile(file)
        except (ValueError, OSError) as error:
            raise ManifestError(f"{manifest.shown}: not a Parquet file: {error}") from None
        yield parquet


def _check_uris(field: pa.Field, manifest: Manifest) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_struct(kind) or pa.types.is_list(kind):
        inner = ", ".join(kind.field(i).name for i in range(kind.num_fields))
        raise ManifestError(
            f"{manifest.shown}: the column {field.name} holds objects ({inner}), not URIs: name a column of URIs in "
            "input.columns, or write the images to files and their URIs into a manifest"
        )
    if not (pa.types.is_null(kind) or _is_text(kind)):
        raise ManifestError(
            f"{manifest.shown}: the column {field.name} is of type {field.type}, not of texts; name the column of URIs "
            "in input.columns"
        )


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
             pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)  # fmt: skip
    return any(test(kind) for test in tests)


def _values(column: pa.Array, field: pa.Field, manifest: Manifest) -> list[Any]:
    """A column as Python's values; of what Python has no value for, such as a year beyond 9999, the text."""
    plain = _plain_type(column.type)
    try:
        return (column if plain == column.type else column.cast(plain)).to_pylist()
    except UnicodeDecodeError:
        raise
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise ManifestError(
            f"{manifest.shown}: the column {field.name}, of type {field.type}, cannot be read as text ({error}); "
            "leave it out, or write it as text"
        ) from None


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type with texts in place of moments, times, durations and decimals."""
    if (pa.types.is_temporal(kind) and not pa.types.is_interval(kind)) or pa.types.is_decimal(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _plain_type(kind.value_type)
        return kind if inner == kind.value_type else pa.list_(inner)
    if pa.types.is_struct(kind):
        fields = [pa.field(child.name, _plain_type(child.type)) for child in kind]
        return kind if all(f.type == child.type for f, child in zip(fields, kind, strict=True)) else pa.struct(fields)
    if pa.types.is_dictionary(kind):
        inner = _plain_type(kind.value_type)
        return kind if inner == kind.value_type else inner
    return kind
