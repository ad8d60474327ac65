"""Where a manifest is and how to read it."""

import dataclasses
from typing import Literal

from transforms.errors import UserError
from transforms.manifest.boxes import BoxFormat
from transforms.storage import redact

CONTAINERS = ("tar", "zip", "tfrecord")
"""Formats of files that hold images themselves; Parquet may do so too."""

SPAN = "\0span"
"""Where a line has the place of an image within its file; no column is called so."""

ManifestFormat = Literal[
    "auto", "txt", "csv", "tsv", "jsonl", "parquet", "coco", "tar", "zip", "tfrecord", "glob", "directory"
]
Conflicts = Literal["first", "refuse", "multi"]
LabelSource = Literal["auto", "column", "folder"]


class ManifestError(UserError):
    """The manifest cannot be used. The message names file, line and remedy."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """Lines of a manifest that one worker reads: a file, or some row groups of a Parquet file."""

    uri: str
    start: int  # lines of the manifest before it
    count: int  # its own
    row_groups: tuple[int, ...] | None = None  # of a Parquet file; None: all
    before: int = 0  # lines of the file before it
    cells: tuple[tuple[str, str | None], ...] = ()  # columns that stand in the names of the file's folders
    index: str | None = None  # URI of the index that lists the images of the file, where it holds some itself


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Where the manifest is and how to read it."""

    uri: str
    format: ManifestFormat = "auto"  # auto: told from its name
    uri_column: str = "uri"
    label_column: str | None = "label"
    label_columns: tuple[str, ...] = ()  # a column for each class, 1 where it is true of the image
    targets_column: str | None = "targets"
    boxes_column: str | None = "boxes"
    expected_column: str | None = None
    mask_column: str | None = None  # one of the further columns; relative URIs in it are as those of the images
    image_column: str | None = None  # of files that hold images; None: found out
    required_columns: frozenset[str] = frozenset({"uri"})  # the others are used where they exist
    base: str | None = None
    limit: int | None = None
    box_format: BoxFormat = "xyxy"
    labels: LabelSource = "auto"  # auto: the column; prepare_job makes it folder where folders are classes
    conflicts: Conflicts = "first"
    left_out: tuple[str, ...] = ()  # URIs of folders of which nothing is listed, such as the output of the job
    extra_columns: tuple[str, ...] = ()  # further columns to carry along, as ManifestSummary found them
    label_names: tuple[str, ...] = ()  # of the data set's classes, where its labels are numbers of theirs
    indexes: str | None = None  # URI of the folder where indexes of files that hold images are kept
    has_own_base: bool = False  # it is one file of several, and relative URIs in it are relative to another folder
    pieces: tuple[Piece, ...] = ()  # what can be read at the same time, as ManifestSummary found it; (): all in one

    def with_uri_column(self, name: str) -> "Manifest":
        """The manifest with its URIs in another column."""
        required = frozenset(name if column == self.uri_column else column for column in self.required_columns)
        return dataclasses.replace(self, uri_column=name, required_columns=required)

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns that mean something to the job."""
        names = (
            self.uri_column,
            self.label_column,
            *self.label_columns,
            self.targets_column,
            self.boxes_column,
            self.expected_column,
        )
        return tuple(name for name in names if name is not None)

    @property
    def shown(self) -> str:
        """Its URI without what a signed one holds of secrets, for messages."""
        return redact(self.uri)
