"""The formats of manifests: text, CSV, TSV, JSON lines, Parquet, COCO, a glob, a directory -> numbered lines."""

import gzip
import importlib.util
import io
import os
import posixpath
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from transforms.manifest.cells import parse_json
from transforms.manifest.coco import read_coco
from transforms.manifest.columns import check_columns, strip_names
from transforms.manifest.containers import container_lines, read_indexed_lines
from transforms.manifest.delimited import read_delimited
from transforms.manifest.hugging_face import is_hugging_face, with_boxes
from transforms.manifest.listing import list_folder, list_glob
from transforms.manifest.manifest import CONTAINERS, Manifest, ManifestError, ManifestFormat, Piece
from transforms.manifest.parquet import read_parquet
from transforms.storage import Storage, is_local, uris

DEMO_PHOTOS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


_SUFFIX_FORMATS: dict[str, ManifestFormat] = {
    ".txt": "txt", ".lst": "txt", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".json": "coco", ".tar": "tar", ".tgz": "tar", ".zip": "zip",
    ".tfrecord": "tfrecord", ".tfrecords": "tfrecord", ".tfrec": "tfrecord",
}  # fmt: skip

_SHARD = re.compile(r"-[\d?*]+-of-[\d?*]+$|-?\*$")  # x.tfrecord-00003-of-00128, and patterns such as x.tfrecord-*

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
    found = format_of_name(manifest.uri)
    if found is None or not is_web_page(manifest.uri):  # where every page may be a folder, a name must do
        if storage.is_directory(manifest.uri):
            return "directory"
        if is_pattern(manifest.uri, storage):
            return "glob"
    if found is not None:
        return found
    raise ManifestError(
        f"{manifest.shown}: cannot tell the manifest's format from its name; "
        "set input.format to txt, csv, tsv, jsonl, parquet, coco, tar, zip, tfrecord, glob or directory"
    )


def is_pattern(uri: str, storage: Storage) -> bool:
    """Whether it stands for the files that match; what is there under that very name is a file."""
    return any(character in uri for character in "*?[") and not storage.exists(uri)


def is_web_page(uri: str) -> bool:
    return uris.scheme_of(uri) in ("http", "https")


def format_of_name(uri: str) -> ManifestFormat | None:
    """The format that a file's name stands for; None where it is none of a manifest."""
    path = uris.split(uri)[1]
    if is_web_page(uri):
        path = path.partition("?")[0].partition("#")[0]  # a signed URL
    path = _SHARD.sub("", path.lower().removesuffix(".gz"))
    return _SUFFIX_FORMATS.get(posixpath.splitext(path)[1])


def numbered_lines(
    manifest: Manifest, storage: Storage, passed_over: Counter[str] | None = None, piece: Piece | None = None
) -> Iterator[tuple[int, Line]]:
    """The lines of a manifest, by column, with the number that an editor shows; at most ``limit`` of them.

    Args:
        passed_over: counts the files of a folder or glob that are not listed, by kind.
        piece: only these lines; the manifest's URI is that of the piece then.

    Raises:
        ManifestError: the manifest cannot be read, or a line has no URI where one must be.
    """
    check_readable_twice(manifest)
    kind = format_of(manifest, storage)
    listed = {"glob": list_glob, "directory": list_folder}
    limit = manifest.limit if piece is None else piece.count
    try:
        lines: Iterable[tuple[int, Line]]
        if piece is not None and piece.index is not None:
            lines = read_indexed_lines(piece, manifest, storage)
        elif kind in CONTAINERS:
            lines = container_lines(kind, manifest, storage, Counter() if passed_over is None else passed_over)
        elif kind in listed:
            found = listed[kind](manifest, storage, Counter() if passed_over is None else passed_over)
            lines = ((number, {manifest.uri_column: uri}) for number, uri in enumerate(found, 1))
        elif kind == "parquet":
            lines = read_parquet(manifest, storage, *((piece.row_groups, piece.before) if piece else ()))
        elif kind == "bundled":
            lines = _list_bundled(manifest)
        else:
            lines = _read_text(kind, manifest, storage)
        adapt = is_hugging_face(manifest)
        for count, (number, line) in enumerate(lines):
            if count == limit:
                return
            if piece is not None and piece.cells:
                line = dict(piece.cells) | line
            yield number, with_boxes(line, manifest) if adapt else line
    except FileNotFoundError:
        raise ManifestError(f"{manifest.shown}: there is no such manifest; check input.manifest") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{manifest.shown}: the manifest is not UTF-8 ({error}); save it as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ManifestError(f"{manifest.shown}: the manifest cannot be read: {storage.redact(str(error))}") from error


def check_readable_twice(manifest: Manifest) -> None:
    """Raises ManifestError for a pipe: what is read once is gone, and the workers read the manifest again."""
    if manifest.uri == "bundled:photos" or not is_local(manifest.uri):
        return
    path = uris.local_path(manifest.uri)
    if os.path.exists(path) and not (stat.S_ISREG(mode := os.stat(path).st_mode) or stat.S_ISDIR(mode)):
        raise ManifestError(
            f"{manifest.shown}: a pipe or device can be read only once, but a manifest is counted first and read again "
            "by the workers; write it to a file, and name the file"
        )


def _read_text(kind: str, manifest: Manifest, storage: Storage) -> Iterator[tuple[int, Line]]:
    with storage.open(manifest.uri) as file:
        path = uris.split(manifest.uri)[1]
        path = path.partition("?")[0] if is_web_page(manifest.uri) else path
        unpacked = gzip.GzipFile(fileobj=file) if path.lower().endswith(".gz") else file
        with io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="") as lines:
            if kind in ("csv", "tsv"):
                yield from read_delimited(lines, manifest, "\t" if kind == "tsv" else None)
            elif kind == "coco":
                yield from read_coco(lines.read(), manifest)
            else:
                yield from (_read_jsonl if kind == "jsonl" else _read_txt)(lines, manifest)


def _read_txt(lines: Iterable[str], manifest: Manifest) -> Iterator[tuple[int, Line]]:
    blank = None
    for number, line in enumerate(lines, 1):
        uri = line.rstrip("\r\n")
        if not uri.strip():
            blank = blank or number
            continue
        if blank:  # blank lines at the end are nothing; one before another URI is a URI that got lost
            raise without_uri(manifest, blank)
        yield number, {manifest.uri_column: uri}


def _read_jsonl(lines: Iterable[str], manifest: Manifest) -> Iterator[tuple[int, Line]]:
    names: tuple[str, ...] | None = None
    stripped: list[str] = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = parse_json(text)
        except ValueError as error:
            raise ManifestError(f"{manifest.shown}, line {number}: not JSON ({error}); write an object") from None
        line = {manifest.uri_column: line} if isinstance(line, str) else line
        if not isinstance(line, dict):
            raise ManifestError(f"{manifest.shown}, line {number}: write an object or a string, not {text[:60]}")
        if tuple(line) != names:
            names = tuple(line)
            stripped = strip_names(names)
            check_columns(stripped, manifest, number)
        yield number, dict(zip(stripped, line.values(), strict=True))


def _list_bundled(manifest: Manifest) -> Iterator[tuple[int, Line]]:
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise ManifestError("bundled:photos are those of scikit-image: pip install 'beam-gradcam[demo]'")
    folder = os.path.join(os.path.dirname(package.origin), "data")
    for number, name in enumerate(DEMO_PHOTOS, 1):
        yield number, {manifest.uri_column: os.path.join(folder, name)}


def without_uri(manifest: Manifest, number: int, cell: Any = None) -> ManifestError:
    """The error for a line without a URI."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return ManifestError(f"{manifest.shown}, line {number}: the line has no URI; write one or remove the line")
    inner = f" with {', '.join(map(str, cell))}" if isinstance(cell, dict) else ""
    return ManifestError(
        f"{manifest.shown}, line {number}: the column {manifest.uri_column} holds {_kind(cell)}{inner}, not a URI; "
        "name a column of URIs in input.columns"
    )


def _kind(cell: Any) -> str:
    kinds = {dict: "an object", list: "a list", bytes: "bytes that are no text", bool: "a truth value"}
    return kinds.get(type(cell), "a number")
