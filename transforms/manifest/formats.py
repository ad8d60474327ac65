"""The formats of manifests: text, CSV, TSV, JSON lines, Parquet, a glob, a directory -> numbered lines."""

import csv
import gzip
import importlib.util
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow.parquet as pq

from transforms.manifest.cells import parse_json
from transforms.manifest.listing import list_folder, list_glob
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.storage import Storage

DEMO_PHOTOS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


_SUFFIX_FORMATS = {".txt": "txt", ".lst": "txt", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
                   ".parquet": "parquet", ".pq": "parquet"}  # fmt: skip


_FIELD_LIMIT = 1 << 20  # characters in one CSV field; a manifest holds references, not pictures


Line = dict[str, Any]


def format_of(manifest: Manifest, storage: Storage) -> str:
    """The manifest's format, from its name where the config does not say.

    Raises:
        ManifestError: the name does not tell.
    """
    if manifest.format != "auto":
        return manifest.format
    if manifest.uri == "bundled:photos":
        return "bundled"
    suffix = os.path.splitext(manifest.uri.lower().removesuffix(".gz"))[1]
    if storage.is_directory(manifest.uri):
        return "directory"
    if not storage.exists(manifest.uri) and any(character in manifest.uri for character in "*?["):
        return "glob"
    if suffix in _SUFFIX_FORMATS:
        return _SUFFIX_FORMATS[suffix]
    raise ManifestError(
        f"{manifest.uri}: cannot tell the manifest's format from its name; "
        "set input.format to txt, csv, tsv, jsonl, parquet, glob or directory"
    )


def numbered_lines(
    manifest: Manifest, storage: Storage, passed_over: Counter[str] | None = None
) -> Iterator[tuple[int, Line]]:
    """The lines of a manifest, by column, with the number that an editor shows; at most ``limit`` of them.

    Args:
        passed_over: counts the files of a folder or glob that are not listed, by kind.

    Raises:
        ManifestError: the manifest cannot be read, or a line has no URI where one must be.
    """
    read = {"txt": _read_txt, "csv": _read_csv, "tsv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet,
            "bundled": _list_bundled}  # fmt: skip
    listed = {"glob": list_glob, "directory": list_folder}
    kind = format_of(manifest, storage)
    try:
        lines: Iterable[tuple[int, Line]]
        if kind in listed:
            uris = listed[kind](manifest, storage, Counter() if passed_over is None else passed_over)
            lines = ((number, {manifest.uri_column: uri}) for number, uri in enumerate(uris, 1))
        else:
            lines = read[kind](manifest, storage)
        for count, line in enumerate(lines):
            if count == manifest.limit:
                return
            yield line
    except FileNotFoundError:
        raise ManifestError(f"{manifest.uri}: there is no such manifest; check input.manifest") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{manifest.uri}: the manifest is not UTF-8 ({error}); save it as UTF-8") from None
    except (OSError, EOFError) as error:
        raise ManifestError(f"{manifest.uri}: the manifest cannot be read: {error}") from error


def _text(manifest: Manifest, storage: Storage) -> io.TextIOWrapper:
    file = storage.open(manifest.uri)
    unpacked = gzip.GzipFile(fileobj=file) if manifest.uri.lower().endswith(".gz") else file
    return io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="")


def _read_txt(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    blank = None
    with _text(manifest, storage) as lines:
        for number, line in enumerate(lines, 1):
            uri = line.rstrip("\r\n")
            if not uri.strip():
                blank = blank or number
                continue
            if blank:  # blank lines at the end are nothing; one before another URI is a URI that got lost
                raise without_uri(manifest, blank)
            yield number, {manifest.uri_column: uri}


def _read_csv(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    csv.field_size_limit(_FIELD_LIMIT)
    tabs = format_of(manifest, storage) == "tsv"
    with _text(manifest, storage) as lines:
        rows = csv.reader(lines, delimiter="\t" if tabs else ",", strict=True)
        header = _next_row(rows, 1, manifest)
        if header is None:
            raise ManifestError(f"{manifest.uri}: the manifest is empty; its first line must name the columns")
        _check_columns(header, manifest)
        while (number := rows.line_num + 1) and (cells := _next_row(rows, number, manifest)) is not None:
            if not cells:
                continue
            if len(cells) != len(header):
                raise ManifestError(
                    f"{manifest.uri}, line {number}: {len(cells)} cells where the header has {len(header)}; "
                    "quote cells that contain the separator"
                )
            yield number, dict(zip(header, cells, strict=True))


def _next_row(rows: Iterator[list[str]], number: int, manifest: Manifest) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        raise ManifestError(
            f"{manifest.uri}: the row that begins in line {number} cannot be read ({error}); "
            'a quoted cell ends with ", and a " inside it is written twice'
        ) from None


def _read_jsonl(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    with _text(manifest, storage) as lines:
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                line = parse_json(text)
            except ValueError as error:
                raise ManifestError(f"{manifest.uri}, line {number}: not JSON ({error}); write an object") from None
            line = {manifest.uri_column: line} if isinstance(line, str) else line
            if not isinstance(line, dict):
                raise ManifestError(f"{manifest.uri}, line {number}: write an object or a string, not {text[:60]}")
            _check_columns(list(line), manifest, number)
            yield number, line


def _read_parquet(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    with storage.open(manifest.uri) as file:
        try:
            parquet = pq.ParquetFile(file)
        except (ValueError, OSError) as error:
            raise ManifestError(f"{manifest.uri}: not a Parquet file: {error}") from None
        _check_columns(parquet.schema_arrow.names, manifest)
        number = 0
        for batch in parquet.iter_batches(batch_size=4096):
            for line in batch.to_pylist():
                number += 1
                yield number, line


def _list_bundled(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise ManifestError("bundled:photos are those of scikit-image: pip install 'beam-gradcam[demo]'")
    folder = os.path.join(os.path.dirname(package.origin), "data")
    for number, name in enumerate(DEMO_PHOTOS, 1):
        yield number, {manifest.uri_column: os.path.join(folder, name)}


def _check_columns(names: list[str], manifest: Manifest, number: int | None = None) -> None:
    where = manifest.uri if number is None else f"{manifest.uri}, line {number}"
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManifestError(f"{where}: the column {', '.join(twice)} stands twice; name each column once")
    missing = sorted(manifest.required_columns - set(names))
    if missing:
        raise ManifestError(
            f"{where}: there is no column {', '.join(missing)}; the manifest has {', '.join(names) or 'none'}; "
            "name the right one in input.columns"
        )


def without_uri(manifest: Manifest, number: int) -> ManifestError:
    """The error for a line without a URI."""
    return ManifestError(f"{manifest.uri}, line {number}: the line has no URI; write one or remove the line")
