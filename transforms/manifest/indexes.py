"""Which images lie in a tar, zip or TFRecord file, and where: read once, kept beside the runs, read again by workers.

An index is a Parquet file with a row for each image. It is named after a digest of the file's URI and version and of
what the config says of columns, so it is made anew when one of them changes.
"""

import dataclasses
import hashlib
import io
import json
import threading
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.manifest.containers import container_lines
from transforms.manifest.folders import FolderSurvey
from transforms.manifest.manifest import SPAN, Manifest
from transforms.manifest.read import read_cells
from transforms.storage import Storage, is_local

_FORMAT = 1
"""To be raised when the same file would give another index."""

_SCHEMA = pa.schema(
    [("uri", pa.string()), ("start", pa.int64()), ("length", pa.int64()), ("cells", pa.string())]  # cells: JSON
)
_KEY = b"beam_gradcam_index"
_ROWS = 1 << 16  # of a row group: a piece that a worker reads
# Builders at a time, by whether the file is local: a local one only computes, and threads would wait for each other; a
# remote one mostly waits for the store. Each holds tens of megabytes of its file.
_BUILDERS = {True: threading.Semaphore(1), False: threading.Semaphore(4)}


@dataclasses.dataclass(frozen=True)
class IndexFacts:
    """What an index says without its rows."""

    row_groups: tuple[int, ...]  # images of each
    columns: tuple[str, ...]
    passed_over: dict[str, int]  # files in it that are no images, by kind
    folders: list[tuple[str, int]]  # of a tar or zip; empty where there are too many


def index_of(kind: str, manifest: Manifest, storage: Storage) -> tuple[str, IndexFacts]:
    """(URI, facts) of the index of a file, which is made where it is not there yet.

    Raises:
        ManifestError: the file is none of that kind, or a line of it cannot be read.
    """
    assert manifest.indexes is not None
    version = storage.version_of_image(manifest.uri)
    parts = [_FORMAT, kind, manifest.uri, version, *manifest.own_columns, manifest.image_column, manifest.box_format]
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
    uri = f"{manifest.indexes}/{digest}.parquet"
    if version is not None and (facts := _read_facts(uri, storage)) is not None:
        return uri, facts
    with _BUILDERS[is_local(manifest.uri)]:
        content, facts = _build(kind, manifest, storage)
    storage.put(uri, content)
    return uri, facts


def _build(kind: str, manifest: Manifest, storage: Storage) -> tuple[bytes, IndexFacts]:
    passed_over, folders = Counter[str](), FolderSurvey()
    rows: list[dict[str, Any]] = []
    groups: list[int] = []
    columns: dict[str, None] = {}
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, _SCHEMA, compression="zstd") as writer:

        def flush() -> None:
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
                groups.append(len(rows))
                rows.clear()

        for number, line in container_lines(kind, manifest, storage, passed_over):
            read_cells(line, number, manifest)  # raises where it cannot be read
            uri, (start, length) = line.pop(manifest.uri_column), line.pop(SPAN)
            if kind != "tfrecord":
                folders.see(uri)
            columns.update(dict.fromkeys(line.keys() - columns.keys()))
            rows.append({"uri": uri, "start": start, "length": length, "cells": json.dumps(line)})
            if len(rows) == _ROWS:
                flush()
        flush()
        facts = IndexFacts(tuple(groups), tuple(sorted(columns)), dict(passed_over), list(folders.found))
        writer.add_key_value_metadata({_KEY: json.dumps(dataclasses.asdict(facts))})
    return buffer.getvalue(), facts


def _read_facts(uri: str, storage: Storage) -> IndexFacts | None:
    """None where there is no such index, or it is none."""
    try:
        with storage.open(uri) as file:
            tree = json.loads((pq.ParquetFile(file).metadata.metadata or {})[_KEY])
    except (FileNotFoundError, KeyError, ValueError, pa.ArrowException):
        return None
    return IndexFacts(
        row_groups=tuple(tree["row_groups"]),
        columns=tuple(tree["columns"]),
        passed_over=tree["passed_over"],
        folders=[(name, count) for name, count in tree["folders"]],
    )
