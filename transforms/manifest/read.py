"""The manifest: which images to explain, read line by line."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

from transforms.manifest.boxes import parse_boxes
from transforms.manifest.cells import Labels, cell_text, parse_flags, parse_label, parse_targets, parse_text
from transforms.manifest.folders import folder_of
from transforms.manifest.formats import Line, format_of_name, numbered_lines, without_uri
from transforms.manifest.manifest import SPAN, Manifest, ManifestError, Piece
from transforms.masks import is_mask_uri
from transforms.records import Box, ImageRef, RefBlock, image_id_of
from transforms.storage import Storage, uris

OnMistake = Callable[[ManifestError], None] | None
"""What a worker that finds a mistake calls before it stops."""


def read_blocks(manifest: Manifest, storage: Storage, size: int, on_mistake: OnMistake = None) -> Iterator[RefBlock]:
    """Every image of the manifest, in its order, ``size`` at a time; raises as :func:`read_manifest`.

    Its pieces may be some that follow each other: the blocks know their place in the whole manifest.
    """
    start = manifest.pieces[0].start if manifest.pieces else 0
    yield from _told(_blocks(read_manifest(manifest, storage), start, size), on_mistake)


def _told(blocks: Iterator[RefBlock], on_mistake: OnMistake) -> Iterator[RefBlock]:
    try:
        yield from blocks
    except ManifestError as error:
        if on_mistake is not None:
            on_mistake(error)
        raise


def read_manifest(manifest: Manifest, storage: Storage) -> Iterator[ImageRef]:
    """Every image of the manifest, in its order, one at a time.

    Raises:
        ManifestError: a line has no URI or cannot be parsed, a column is missing.
    """
    for piece in manifest.pieces:
        yield from _refs_of_piece(piece, manifest, storage)
    if not manifest.pieces:
        base = base_of(manifest)
        for number, line in numbered_lines(manifest, storage):
            yield image_ref(line, number, manifest, base, storage)


def base_of(manifest: Manifest) -> str:
    """What relative URIs are relative to."""
    if manifest.base is not None:
        return manifest.base
    before, path, after = uris.split(manifest.uri)
    if uris.scheme_of(manifest.uri) in ("http", "https"):
        path = path.partition("?")[0]  # a signature may have slashes
    return f"{before}{path.rpartition('/')[0]}{after}"


def _refs_of_piece(piece: Piece, manifest: Manifest, storage: Storage) -> Iterator[ImageRef]:
    own = of_piece(manifest, piece)
    base = base_of(own)
    for number, line in numbered_lines(own, storage, piece=piece):
        yield image_ref(line, number, own, base, storage)


def of_piece(manifest: Manifest, piece: Piece) -> Manifest:
    """The file that a piece lies in, as a manifest of its own."""
    kind = format_of_name(piece.uri) or manifest.format  # said, so that nobody asks the store whether it is a folder
    required = manifest.required_columns.difference(name for name, _ in piece.cells)
    own = dataclasses.replace(manifest, uri=piece.uri, format=kind, required_columns=required, pieces=(), limit=None)
    return dataclasses.replace(own, has_own_base=base_of(own) != base_of(manifest))


def _blocks(refs: Iterator[ImageRef], start: int, size: int) -> Iterator[RefBlock]:
    while block := tuple(itertools.islice(refs, size)):
        yield RefBlock(start, block)
        start += len(block)


def image_ref(line: Line, number: int, manifest: Manifest, base: str, storage: Storage) -> ImageRef:
    """The image of a line; raises ManifestError where its cells cannot be read."""
    written, label, targets, boxes, labels = read_cells(line, number, manifest)
    uri = storage.join(base, written)
    if manifest.labels == "folder":
        label, labels = folder_of(uri), None
    ref = ImageRef(
        uri=uri,
        image_id=image_id_of(uri),
        label=label,
        targets=targets,
        boxes=boxes,
        extra=_extra(line, manifest, base, storage),
        expected=parse_text(line.get(manifest.expected_column or "")),
        labels=labels,
        span=line.get(SPAN),
    )
    return with_named_label(ref, manifest) if manifest.label_names and manifest.labels != "folder" else ref


def _extra(line: Line, manifest: Manifest, base: str, storage: Storage) -> tuple[str | None, ...]:
    """The further columns; a mask whose URI is relative to a file of its own has the whole URI from here on."""
    cells = [cell_text(line.get(name)) for name in manifest.extra_columns]
    if manifest.has_own_base and manifest.mask_column in manifest.extra_columns:
        position = manifest.extra_columns.index(manifest.mask_column)
        if is_mask_uri(written := cells[position]):
            cells[position] = storage.join(base, written)
    return tuple(cells)


def with_named_label(ref: ImageRef, manifest: Manifest) -> ImageRef:
    """The same image with the name of its class as label, where its label is a number of the data set's own."""
    names = manifest.label_names

    def named(label: str) -> str:
        return names[int(label)] if label.isdecimal() and int(label) < len(names) else label

    return dataclasses.replace(
        ref,
        label=None if ref.label is None else named(ref.label),
        labels=None if ref.labels is None else tuple(map(named, ref.labels)),
    )


def read_cells(
    line: Line, number: int, manifest: Manifest
) -> tuple[str, str | None, tuple[str, ...] | None, tuple[Box, ...] | None, Labels | None]:
    """URI, label, targets, boxes and all labels of a line, or a ManifestError."""
    written = line.get(manifest.uri_column)
    if isinstance(written, bytes):  # a column of texts whose writer did not say so
        try:
            written = written.decode()
        except UnicodeDecodeError:
            raise without_uri(manifest, number, written) from None
    if not isinstance(written, str) or not written.strip():
        raise without_uri(manifest, number, written)
    try:
        targets = parse_targets(line.get(manifest.targets_column or ""))
        boxes = parse_boxes(line.get(manifest.boxes_column or ""), manifest.box_format)
        label, labels = parse_label(line.get(manifest.label_column or ""))
        if manifest.label_columns:
            labels = parse_flags({name: line.get(name) for name in manifest.label_columns})
            label = labels[0] if len(labels) == 1 else None
    except ValueError as error:
        raise ManifestError(f"{manifest.shown}, line {number}: {error}") from None
    return written, label, targets, boxes, labels
