"""The manifest: which images to explain, read line by line."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from transforms.manifest.cells import (
    Labels,
    cell_text,
    class_text,
    parse_boxes,
    parse_flags,
    parse_label,
    parse_targets,
)
from transforms.manifest.formats import Line, numbered_lines, without_uri
from transforms.manifest.label_kinds import LabelKind, LabelTally
from transforms.manifest.listing import describe_passed_over
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.sample import Sample
from transforms.records import Box, ImageRef, image_id_of
from transforms.storage import Storage

_BLOCK = 1 << 15  # references; some of each bucket, also where there are a thousand buckets


@dataclasses.dataclass(frozen=True)
class ManifestSummary:
    """What one pass over the manifest found."""

    count: int  # lines with an image, duplicates included
    extra_columns: tuple[str, ...]
    sample: tuple[ImageRef, ...] = ()  # as many as were asked for: the same of the same manifest, in whatever order
    passed_over: str = ""  # files of a folder that are no images, in words
    labels: LabelKind = "none"  # what they look like, all together


class ReadManifest(beam.PTransform):
    """Manifest -> blocks of its references, one ImageRef per line.

    A block is an element because a million elements cost a runner far more than a million references do.
    """

    def __init__(self, manifest: Manifest, storage: Storage):
        super().__init__()
        self._manifest = manifest
        self._storage = storage

    def expand(self, root: beam.Pipeline) -> beam.PCollection[tuple[ImageRef, ...]]:
        return root | beam.Impulse() | "Lines" >> beam.FlatMap(read_blocks, self._manifest, self._storage)


def read_blocks(_impulse: bytes, manifest: Manifest, storage: Storage) -> Iterator[tuple[ImageRef, ...]]:
    """Every image of the manifest, in its order, some thousands at a time; raises as :func:`read_manifest`."""
    refs = read_manifest(manifest, storage)
    while block := tuple(itertools.islice(refs, _BLOCK)):
        yield block


def read_manifest(manifest: Manifest, storage: Storage) -> Iterator[ImageRef]:
    """Every image of the manifest, in its order, one at a time.

    Raises:
        ManifestError: a line has no URI or cannot be parsed, a column is missing.
    """
    base = base_of(manifest)
    for number, line in numbered_lines(manifest, storage):
        yield _image_ref(line, number, manifest, base, storage)


def survey_manifest(manifest: Manifest, storage: Storage, sample: int = 0) -> ManifestSummary:
    """Read the whole manifest once, without holding it: counts lines and finds every mistake's first line.

    Args:
        sample: how many of its images to give back.

    Raises:
        ManifestError: as read_manifest, or the manifest names no image.
    """
    own = {manifest.uri_column, manifest.label_column, manifest.targets_column, manifest.boxes_column}
    own.update(manifest.label_columns)
    own.add(manifest.expected_column)
    count, extra, kept, passed_over, seen = 0, dict[str, None](), Sample(sample), Counter[str](), LabelTally()
    for number, line in numbered_lines(manifest, storage, passed_over):
        written, label, _, _, labels = _cells(line, number, manifest)  # raises where it cannot be read
        seen.see(label, labels)
        count += 1
        kept.see(written, number, line)
        extra.update(dict.fromkeys(line.keys() - extra.keys() - own))
    if not count:
        others = describe_passed_over(passed_over)
        raise ManifestError(
            f"{manifest.uri}: the manifest names no image; write one URI a line or a glob that matches"
            + (f" ({others})" if others else "")
        )
    base = base_of(manifest)
    whole = dataclasses.replace(manifest, extra_columns=tuple(sorted(extra)))
    refs = tuple(_image_ref(line, number, whole, base, storage) for number, line in kept.lines())
    return ManifestSummary(count, whole.extra_columns, refs, describe_passed_over(passed_over), seen.kind)


def _image_ref(line: Line, number: int, manifest: Manifest, base: str, storage: Storage) -> ImageRef:
    written, label, targets, boxes, labels = _cells(line, number, manifest)
    uri = storage.join(base, written)
    return ImageRef(
        uri=uri,
        image_id=image_id_of(uri),
        label=label,
        targets=targets,
        boxes=boxes,
        extra=tuple(cell_text(line.get(name)) for name in manifest.extra_columns),
        expected=_text_of(line.get(manifest.expected_column or "")),
        labels=labels,
    )


def _cells(
    line: Line, number: int, manifest: Manifest
) -> tuple[str, str | None, tuple[str, ...] | None, tuple[Box, ...] | None, Labels | None]:
    """URI, label, targets, boxes and all labels of a line, or a ManifestError."""
    written = line.get(manifest.uri_column)
    if not isinstance(written, str) or not written.strip():
        raise without_uri(manifest, number)
    try:
        targets = parse_targets(line.get(manifest.targets_column or ""))
        boxes = parse_boxes(line.get(manifest.boxes_column or ""))
        label, labels = parse_label(line.get(manifest.label_column or ""))
        if manifest.label_columns:
            labels = parse_flags({name: line.get(name) for name in manifest.label_columns})
            label = labels[0] if len(labels) == 1 else None
    except ValueError as error:
        raise ManifestError(f"{manifest.uri}, line {number}: {error}") from None
    return written, label, targets, boxes, labels


def _text_of(cell: Any) -> str | None:
    """A class in a cell; None where the cell is empty."""
    return None if cell is None or str(cell).strip() == "" else class_text(cell)


def base_of(manifest: Manifest) -> str:
    """What relative URIs of its lines are relative to."""
    return manifest.base if manifest.base is not None else _folder_of(manifest.uri)


def _folder_of(uri: str) -> str:
    return uri.rpartition("/")[0] if "/" in uri else ""
