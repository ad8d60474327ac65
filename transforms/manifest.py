"""The manifest: which images to explain. Text, CSV, JSON lines, Parquet, a glob or a directory, read line by line."""

import csv
import dataclasses
import gzip
import importlib.util
import io
import json
import math
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq

from transforms.records import Box, ImageRef, image_id_of
from transforms.storage import Storage

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
DEMO_PHOTOS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
_SUFFIX_FORMATS = {".txt": "txt", ".lst": "txt", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
                   ".parquet": "parquet", ".pq": "parquet"}  # fmt: skip
_MOST_BOXES = 1000  # the exact area of their union takes memory with the square of their number
_MOST_TARGETS = 1000  # each has a map and a row
_FIELD_LIMIT = 1 << 20  # characters in one CSV field; a manifest holds references, not pictures

Line = dict[str, Any]


class ManifestError(ValueError):
    """The manifest cannot be used. The message names file, line and remedy."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Where the manifest is and how to read it."""

    uri: str
    format: str = "auto"
    uri_column: str = "uri"
    label_column: str | None = "label"
    targets_column: str | None = "targets"
    boxes_column: str | None = "boxes"
    required_columns: frozenset[str] = frozenset({"uri"})  # the others are used where they exist
    base: str | None = None
    limit: int | None = None
    extra_columns: tuple[str, ...] = ()  # further columns to carry along, as ManifestSummary found them


@dataclasses.dataclass(frozen=True)
class ManifestSummary:
    """What one pass over the manifest found."""

    count: int  # lines with an image, duplicates included
    extra_columns: tuple[str, ...]
    most_targets: int  # of any line


class ReadManifest(beam.PTransform):
    """Manifest -> one ImageRef per line."""

    def __init__(self, manifest: Manifest, storage: Storage):
        super().__init__()
        self._manifest = manifest
        self._storage = storage

    def expand(self, root: beam.Pipeline) -> beam.PCollection[ImageRef]:
        manifest = root | "Manifest" >> beam.Create([self._manifest])
        return manifest | "Lines" >> beam.FlatMap(read_manifest, self._storage)


def read_manifest(manifest: Manifest, storage: Storage) -> Iterator[ImageRef]:
    """Every image of the manifest, in its order, one at a time.

    Raises:
        ManifestError: a line has no URI or cannot be parsed, a column is missing.
    """
    base = manifest.base if manifest.base is not None else _folder_of(manifest.uri)
    for number, line in _numbered_lines(manifest, storage):
        yield _image_ref(line, number, manifest, base, storage)


def survey_manifest(manifest: Manifest, storage: Storage) -> ManifestSummary:
    """Read the whole manifest once, without holding it: counts lines and finds every mistake's first line.

    Raises:
        ManifestError: as read_manifest, or the manifest names no image.
    """
    own = {manifest.uri_column, manifest.label_column, manifest.targets_column, manifest.boxes_column}
    base = manifest.base if manifest.base is not None else _folder_of(manifest.uri)
    count, most_targets, extra = 0, 0, dict[str, None]()
    for number, line in _numbered_lines(manifest, storage):
        ref = _image_ref(line, number, manifest, base, storage)
        count += 1
        most_targets = max(most_targets, len(ref.targets or ()))
        extra.update(dict.fromkeys(line.keys() - extra.keys() - own))
    if not count:
        raise ManifestError(f"{manifest.uri}: the manifest names no image; write one URI a line or a glob that matches")
    return ManifestSummary(count, tuple(sorted(extra)), most_targets)


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


def _numbered_lines(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    read = {"txt": _read_txt, "csv": _read_csv, "tsv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet,
            "glob": _list_glob, "directory": _list_directory, "bundled": _list_bundled}  # fmt: skip
    lines = read[format_of(manifest, storage)](manifest, storage)
    try:
        for count, line in enumerate(lines):
            if count == manifest.limit:
                return
            yield line
    except FileNotFoundError:
        raise ManifestError(f"{manifest.uri}: there is no such manifest; check input.manifest") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
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
                raise _without_uri(manifest, blank)
            yield number, {manifest.uri_column: uri}


def _read_csv(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    csv.field_size_limit(_FIELD_LIMIT)
    tabs = format_of(manifest, storage) == "tsv"
    with _text(manifest, storage) as lines:
        rows = csv.reader(lines, delimiter="\t" if tabs else ",", strict=True)
        header = next(rows, None)
        if header is None:
            raise ManifestError(f"{manifest.uri}: the manifest is empty; its first line must name the columns")
        _check_columns(header, manifest)
        while (number := rows.line_num + 1) and (cells := next(rows, None)) is not None:
            if not cells:
                continue
            if len(cells) != len(header):
                raise ManifestError(
                    f"{manifest.uri}, line {number}: {len(cells)} cells where the header has {len(header)}; "
                    "quote cells that contain the separator"
                )
            yield number, dict(zip(header, cells, strict=True))


def _read_jsonl(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    with _text(manifest, storage) as lines:
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
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


def _list_glob(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    for number, uri in enumerate(storage.glob(manifest.uri), 1):
        yield number, {manifest.uri_column: uri}


def _list_directory(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    for number, uri in enumerate(storage.walk(manifest.uri), 1):
        if uri.lower().endswith(IMAGE_SUFFIXES):
            yield number, {manifest.uri_column: uri}


def _list_bundled(manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise ManifestError("bundled:photos are those of scikit-image: pip install 'beam-gradcam[demo]'")
    folder = os.path.join(os.path.dirname(package.origin), "data")
    for number, name in enumerate(DEMO_PHOTOS, 1):
        yield number, {manifest.uri_column: os.path.join(folder, name)}


def _check_columns(names: list[str], manifest: Manifest, number: int | None = None) -> None:
    missing = sorted(manifest.required_columns - set(names))
    if missing:
        where = manifest.uri if number is None else f"{manifest.uri}, line {number}"
        raise ManifestError(
            f"{where}: there is no column {', '.join(missing)}; the manifest has {', '.join(names) or 'none'}; "
            "name the right one in input.columns"
        )


def _without_uri(manifest: Manifest, number: int) -> ManifestError:
    return ManifestError(f"{manifest.uri}, line {number}: the line has no URI; write one or remove the line")


def _image_ref(line: Line, number: int, manifest: Manifest, base: str, storage: Storage) -> ImageRef:
    written = line.get(manifest.uri_column)
    if not isinstance(written, str) or not written.strip():
        raise _without_uri(manifest, number)
    uri = storage.join(base, written)
    try:
        targets = _parse_targets(line.get(manifest.targets_column or ""))
        boxes = _parse_boxes(line.get(manifest.boxes_column or ""))
    except ValueError as error:
        raise ManifestError(f"{manifest.uri}, line {number}: {error}") from None
    label = line.get(manifest.label_column or "")
    return ImageRef(
        uri=uri,
        image_id=image_id_of(uri),
        label=None if label is None or str(label).strip() == "" else _class_text(label),
        targets=targets,
        boxes=boxes,
        extra=tuple(_cell_text(line.get(name)) for name in manifest.extra_columns),
    )


def _parse_targets(cell: Any) -> tuple[str, ...] | None:
    """``281;tabby``, a JSON list, or a list cell; None where the cell is empty."""
    if isinstance(cell, str):
        text = cell.strip()
        cell = json.loads(text) if text.startswith("[") else [part for part in text.split(";") if part.strip()]
    if cell is None or cell == []:
        return None
    targets = cell if isinstance(cell, list) else [cell]
    if len(targets) > _MOST_TARGETS:
        raise ValueError(f"{len(targets)} target classes; at most {_MOST_TARGETS} are possible for an image")
    return tuple(_class_text(target) for target in targets)


def _parse_boxes(cell: Any) -> tuple[Box, ...] | None:
    """A list of ``{x0, y0, x1, y1}`` or ``[x0, y0, x1, y1]``, as JSON text or as a list cell; None where empty."""
    if isinstance(cell, str):
        cell = json.loads(cell) if cell.strip() else None
    if cell is None:
        return None
    if not isinstance(cell, list):
        cell = [cell]
    if cell and all(isinstance(number, int | float) for number in cell):
        cell = [cell]  # one box without the outer list
    if len(cell) > _MOST_BOXES:
        raise ValueError(f"{len(cell)} boxes; at most {_MOST_BOXES} are possible for an image")
    return tuple(_parse_box(box) for box in cell)


def _parse_box(box: Any) -> Box:
    try:
        corners = [box[key] for key in ("x0", "y0", "x1", "y1")] if isinstance(box, dict) else list(box)
        x0, y0, x1, y1 = (float(corner) for corner in corners)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{box!r} is not a box; write [x0, y0, x1, y1] in pixels of the image") from None
    if not all(math.isfinite(corner) for corner in (x0, y0, x1, y1)):
        raise ValueError(f"{box!r} is not a box: its corners must be finite")
    return x0, y0, x1, y1


def _class_text(value: Any) -> str:
    """281.0, as a column with gaps comes out of Parquet, is class 281."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _cell_text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


def _folder_of(uri: str) -> str:
    return uri.rpartition("/")[0] if "/" in uri else ""
