"""Tars, zips and TFRecord files as manifests: their images as lines, from the file itself or from its index."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

import pyarrow.parquet as pq

from transforms.manifest.archive_lines import lines_of_archive
from transforms.manifest.manifest import SPAN, Manifest, Piece
from transforms.manifest.record_lines import lines_of_records
from transforms.storage import Storage, is_local, open_blocks, record_uri


def container_lines(
    kind: str, manifest: Manifest, storage: Storage, passed_over: Counter[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a file that holds images, read from the file itself; their URIs are in the column of URIs."""
    with _opened(manifest.uri, storage) as file:
        if kind == "tfrecord":
            for number, ((start, end), feature, cells) in enumerate(lines_of_records(file, manifest), 1):
                uri = record_uri(start, end, feature, manifest.uri)
                yield number, {**cells, manifest.uri_column: uri, SPAN: (start, end - start)}
            return
        for number, (name, span, cells) in enumerate(lines_of_archive(kind, file, manifest, passed_over), 1):
            yield number, {**cells, manifest.uri_column: f"{kind}://{name}::{manifest.uri}", SPAN: span}


@contextlib.contextmanager
def _opened(uri: str, storage: Storage) -> Iterator[IO[bytes]]:
    with storage.open(uri) if is_local(uri) else open_blocks(uri, storage) as file:
        yield file


def read_indexed_lines(piece: Piece, manifest: Manifest, storage: Storage) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a piece of an index."""
    assert piece.index is not None
    with storage.open(piece.index) as file:
        parquet = pq.ParquetFile(file)
        groups = range(parquet.num_row_groups) if piece.row_groups is None else piece.row_groups
        number = piece.before
        for batch in parquet.iter_batches(batch_size=4096, row_groups=list(groups)):
            for found, start, length, cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield number, {manifest.uri_column: found, SPAN: (start, length), **json.loads(cells)}
