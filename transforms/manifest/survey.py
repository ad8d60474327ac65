"""One look at a whole manifest before any work starts: how many lines, which columns, what is wrong."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from transforms.concurrency import map_ahead
from transforms.manifest.boxes import BoxSurvey
from transforms.manifest.columns import near_misses
from transforms.manifest.folders import FolderSurvey
from transforms.manifest.formats import Line, format_of, numbered_lines
from transforms.manifest.hugging_face import FILE_NAME, is_hugging_face
from transforms.manifest.indexes import IndexFacts, index_of
from transforms.manifest.label_kinds import LabelKind, LabelTally
from transforms.manifest.listing import describe_passed_over
from transforms.manifest.manifest import CONTAINERS, SPAN, Manifest, ManifestError, Piece
from transforms.manifest.many_files import files_of, kind_of_file
from transforms.manifest.parquet import ParquetFacts, read_facts
from transforms.manifest.partitions import partition_of
from transforms.manifest.read import base_of, image_ref, of_piece, read_cells
from transforms.manifest.sample import Sample
from transforms.manifest.tfds import tfds_names
from transforms.records import ImageRef
from transforms.storage import Storage

_READERS = 16
_ROWS_OF_A_PIECE = 1 << 18
_SAMPLED_PIECES = 16  # of which the first lines are looked at, where the survey reads no lines
_SAMPLED_LINES = 256


@dataclasses.dataclass(frozen=True)
class ManifestSummary:
    """What one look at the manifest found."""

    count: int  # lines with an image, duplicates included
    extra_columns: tuple[str, ...]
    own_columns: frozenset[str] = frozenset()  # those that mean something and are there
    passed_over: str = ""  # files of a folder that are no images, in words
    notes: tuple[str, ...] = ()  # what looks wrong, with a remedy
    pieces: tuple[Piece, ...] = ()  # what can be read at the same time
    uri_column: str = Manifest.uri_column
    folders: tuple[tuple[str, int], ...] = ()  # of a listing without labels: folder -> images, while they are few
    label_names: tuple[str, ...] = ()  # what the data set calls its classes, where it says so
    has_containers: bool = False  # its files hold the images themselves
    labels: LabelKind = "none"  # what they look like, all together
    sample: tuple[ImageRef, ...] = ()  # as many as were asked for: the same of the same manifest, in whatever order


def survey_manifest(manifest: Manifest, storage: Storage, sample: int = 0) -> ManifestSummary:
    """Look at the whole manifest once, without holding it: counts lines and finds every mistake's first line.

    Of several Parquet files only the footers are read: a mistake in a row is found by the worker that reads it.

    Args:
        sample: how many of its images to give back.

    Raises:
        ManifestError: as read_manifest, or the manifest names no image.
    """
    manifest = manifest.with_uri_column(_uri_column(manifest, storage))
    found = _Found(manifest, sample)
    files = files_of(manifest, storage, found.passed_over)
    if files is None and format_of(manifest, storage) == "parquet" and read_facts(manifest, storage).has_images:
        files = [manifest.uri]
    if files is None:
        found.read(manifest, storage)
        pieces: tuple[Piece, ...] = ()
    else:
        pieces = tuple(_survey_files(files, manifest, storage, found))
        records = [uri for uri in files if kind_of_file(uri, manifest) == "tfrecord"]
        found.label_names = found.label_names or tfds_names(records, manifest, storage)
        found.sample_pieces(pieces, storage)
    return found.summary(pieces, storage)


class _Found:
    """What has been found so far."""

    def __init__(self, manifest: Manifest, sample: int):
        self.manifest = manifest
        self.sample = Sample[tuple[Manifest, Line]](sample)
        self.count = 0
        self.columns: dict[str, None] = {}
        self.boxes, self.folders, self.labels = BoxSurvey(), FolderSurvey(), LabelTally()
        self.passed_over = Counter[str]()
        self.is_listing = False
        self.has_containers = False
        self.label_names: tuple[str, ...] = ()

    def read(self, manifest: Manifest, storage: Storage, piece: Piece | None = None) -> int:
        """Read lines; returns how many. Raises ManifestError where one cannot be read."""
        before, base = self.count, base_of(manifest)
        self.is_listing = piece is None and format_of(manifest, storage) in ("glob", "directory")
        for number, line in numbered_lines(manifest, storage, self.passed_over, piece):
            written, label, _, boxes, labels = read_cells(line, number, manifest)
            self.count += 1
            self.labels.see(label, labels)
            self.sample.see(storage.join(base, written), number, (manifest, line))
            self.columns.update(dict.fromkeys(line.keys() - self.columns.keys()))
            if boxes is not None:
                self.boxes.see(boxes)
            if self.is_listing:
                self.folders.see(storage.join(base, written))
        return self.count - before

    def see_facts(self, facts: ParquetFacts | IndexFacts) -> None:
        """Take note of a file that is not read now."""
        self.columns.update(dict.fromkeys(facts.columns))
        if isinstance(facts, ParquetFacts):
            self.has_containers |= facts.has_images
            self.label_names = self.label_names or facts.label_names
            return
        self.has_containers = self.is_listing = True
        self.passed_over.update(facts.passed_over)
        self.folders.add(facts.folders)

    def sample_pieces(self, pieces: Sequence[Piece], storage: Storage) -> None:
        """What labels look like, and lines for the sample, from the beginnings of some pieces, far from each other."""
        step = max(1, -(-len(pieces) // _SAMPLED_PIECES))
        for piece in pieces[::step]:
            own = of_piece(self.manifest, piece)
            lines = numbered_lines(
                own, storage, piece=dataclasses.replace(piece, count=min(piece.count, _SAMPLED_LINES))
            )
            for number, line in lines:
                written, label, _, _, labels = read_cells(line, number, own)
                self.labels.see(label, labels)
                self.sample.see(storage.join(base_of(own), written), number, (own, line))

    def summary(self, pieces: tuple[Piece, ...], storage: Storage) -> ManifestSummary:
        manifest = self.manifest
        others = describe_passed_over(self.passed_over)
        if not self.count:
            raise ManifestError(
                f"{manifest.shown}: the manifest names no image; write one URI a line or a glob that matches"
                + (f" ({others})" if others else "")
            )
        boxes = self.boxes.note(manifest.box_format)
        extra_columns = tuple(sorted(self.columns.keys() - set(manifest.own_columns) - {SPAN}))
        return ManifestSummary(
            count=self.count,
            extra_columns=extra_columns,
            own_columns=frozenset(self.columns) & frozenset(manifest.own_columns),
            passed_over=others,
            notes=(*near_misses(self.columns, manifest), *([boxes] if boxes else [])),
            pieces=pieces,
            uri_column=manifest.uri_column,
            label_names=self.label_names,
            has_containers=self.has_containers,
            folders=self.folders.found if self.is_listing else (),
            sample=tuple(
                image_ref(line, number, dataclasses.replace(own, extra_columns=extra_columns), base_of(own), storage)
                for number, (own, line) in self.sample.lines()
            ),
            labels="names" if manifest.labels == "folder" else self.labels.kind,
        )


def _survey_files(files: list[str], manifest: Manifest, storage: Storage, found: _Found) -> Iterable[Piece]:
    """The pieces of many files, in the order of the files, up to the limit of lines."""
    limit = manifest.limit
    with ThreadPoolExecutor(_READERS, "footers") as readers:

        def facts_of(uri: str) -> tuple[str, ParquetFacts | tuple[str, IndexFacts] | None]:
            own = of_piece(manifest, Piece(uri, 0, 0, cells=partition_of(uri, manifest.uri)))
            kind = kind_of_file(uri, manifest)
            if kind == "parquet":
                return uri, read_facts(own, storage)
            if kind in CONTAINERS and manifest.indexes is not None:
                return uri, index_of(kind, own, storage)
            return uri, None

        for uri, facts in map_ahead(facts_of, files, readers, 4 * _READERS):
            left = None if limit is None else limit - found.count
            if left == 0:
                return
            cells = partition_of(uri, manifest.uri)
            if facts is None:
                start = found.count
                whole = Piece(uri, start, -1 if left is None else left, cells=cells)
                count = found.read(of_piece(manifest, whole), storage, whole)
                if count:
                    yield dataclasses.replace(whole, count=count)
                continue
            index, groups = (None, facts) if isinstance(facts, ParquetFacts) else facts
            found.see_facts(groups)
            found.columns.update(dict.fromkeys(name for name, _ in cells))
            for piece in _pieces_of(uri, groups.row_groups, found.count, left):
                found.count += piece.count
                yield dataclasses.replace(piece, index=index, cells=cells)


def _pieces_of(uri: str, row_groups: Sequence[int], start: int, limit: int | None) -> Iterable[Piece]:
    """Neighbouring row groups of a file, some hundred thousand rows at a time."""
    groups: list[int] = []
    before = rows = 0
    for group, count in enumerate(row_groups):
        groups.append(group)
        rows += count
        is_last = group == len(row_groups) - 1
        if rows >= _ROWS_OF_A_PIECE or is_last:
            kept = rows if limit is None else min(rows, limit - before)
            if kept > 0:
                yield Piece(uri, start + before, kept, tuple(groups), before)
            groups, before, rows = [], before + rows, 0


def _uri_column(manifest: Manifest, storage: Storage) -> str:
    """``file_name`` where a manifest of Hugging Face's has that and no column of our own name."""
    if not is_hugging_face(manifest) or manifest.uri_column != Manifest.uri_column:
        return manifest.uri_column
    peek = dataclasses.replace(manifest.with_uri_column(FILE_NAME), limit=1)
    try:
        lines = list(itertools.islice(numbered_lines(peek, storage), 1))
    except ManifestError:
        return manifest.uri_column
    has_own = any(Manifest.uri_column in line for _, line in lines)
    return manifest.uri_column if has_own or not lines else FILE_NAME
