"""Manifests in Parquet: their rows as plain values, and what footers tell without them."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.containers import ImageColumn, hugging_face_names, image_columns, span_of_group
from transforms.manifest.columns import check_columns, strip_names
from transforms.manifest.manifest import SPAN, Manifest, ManifestError
from transforms.storage import Storage, row_uri

_IMAGES = ("image", "img", "image_bytes", "jpg", "png", "bytes")


@dataclasses.dataclass(frozen=True)
class ParquetFacts:
    """What a Parquet file says about itself."""

    columns: tuple[str, ...]  # without those of images
    row_groups: tuple[int, ...]  # rows of each
    has_images: bool  # it holds the images themselves
    label_names: tuple[str, ...] = ()


def read_parquet(
    manifest: Manifest, storage: Storage, row_groups: Sequence[int] | None = None, before: int = 0
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of some row groups, numbered from ``before`` + 1. Moments and decimals come as texts."""
    with _open(manifest, storage) as parquet:
        image = _image_column(parquet, manifest)
        wanted = _wanted(parquet, image)
        names = strip_names(wanted)
        if image is None:
            check_columns(names, manifest)
            _check_uris(parquet.schema_arrow.field(names.index(manifest.uri_column)), manifest)
        groups = range(parquet.num_row_groups) if row_groups is None else row_groups
        places = None if image is None else _places(parquet, image, groups, manifest)
        number = before
        try:
            for batch in parquet.iter_batches(batch_size=4096, row_groups=groups, columns=wanted):
                columns = [_values(column, field, manifest)
                           for column, field in zip(batch.columns, batch.schema, strict=True)]  # fmt: skip
                for row in zip(*columns, strict=True) if columns else [()] * batch.num_rows:
                    number += 1
                    line = dict(zip(names, row, strict=True))
                    yield number, line if places is None else line | next(places)
        except pa.ArrowException as error:
            raise ManifestError(
                f"{manifest.shown}: cannot be read after line {number}: {error}; the file is damaged, or of a kind "
                "that pyarrow does not read"
            ) from None


def read_facts(manifest: Manifest, storage: Storage) -> ParquetFacts:
    """Columns and lengths, without a row."""
    with _open(manifest, storage) as parquet:
        image = _image_column(parquet, manifest)
        names = strip_names(_wanted(parquet, image))
        if image is None:
            check_columns(names, manifest)
            _check_uris(parquet.schema_arrow.field(names.index(manifest.uri_column)), manifest)
        groups = tuple(parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups))
        labels = hugging_face_names(parquet.schema_arrow, manifest.label_column or "")
        return ParquetFacts(tuple(names), groups, image is not None, tuple(labels or ()))


def _image_column(parquet: pq.ParquetFile, manifest: Manifest) -> ImageColumn | None:
    """The column of images; None where the file has a column of URIs instead.

    Raises:
        ManifestError: there is none where one must be, or nobody can tell which.
    """
    found = {column.name: column for column in image_columns(parquet.schema_arrow)}
    if manifest.image_column is not None:
        if manifest.image_column not in found:
            raise ManifestError(
                f"{manifest.shown}: the column {manifest.image_column} is not there, or holds neither bytes nor "
                f"objects with bytes; those that do: {', '.join(found) or 'none'}"
            )
        return found[manifest.image_column]
    names = strip_names(parquet.schema_arrow.names)
    if manifest.uri_column in names and parquet.schema_arrow.names[names.index(manifest.uri_column)] not in found:
        return None
    structs = [column for column in found.values() if column.leaf != column.name]
    named = [found[name] for name in (manifest.uri_column, *_IMAGES) if name in found]
    if manifest.uri_column in found and found[manifest.uri_column].leaf == manifest.uri_column:
        return None  # texts whose writer did not say so
    likely = structs if len(structs) == 1 else named
    if not likely and found and manifest.uri_column not in names:
        raise ManifestError(
            f"{manifest.shown}: there is no column {manifest.uri_column}; the manifest has {', '.join(names)}; name "
            f"the column of URIs in input.columns, or the column of images, such as {{image: {next(iter(found))}}}"
        )
    return likely[0] if likely else None


def _wanted(parquet: pq.ParquetFile, image: ImageColumn | None) -> list[str]:
    names = parquet.schema_arrow.names
    if image is None:
        return names
    others = {column.name for column in image_columns(parquet.schema_arrow)}
    return [name for name in names if name not in others]


def _places(
    parquet: pq.ParquetFile, image: ImageColumn, groups: Iterable[int], manifest: Manifest
) -> Iterator[dict[str, Any]]:
    """URI and span of each row."""
    counts = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    for group in groups:
        span = span_of_group(parquet.metadata, image.leaf, group)
        first = sum(counts[:group])
        for row in range(first, first + counts[group]):
            yield {manifest.uri_column: row_uri(row, image.name, manifest.uri), SPAN: span}


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
