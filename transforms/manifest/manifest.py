"""Where a manifest is and how to read it."""

import dataclasses
from typing import Literal

from transforms.errors import UserError

ManifestFormat = Literal["auto", "txt", "csv", "tsv", "jsonl", "parquet", "glob", "directory"]


class ManifestError(UserError):
    """The manifest cannot be used. The message names file, line and remedy."""


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
    required_columns: frozenset[str] = frozenset({"uri"})  # the others are used where they exist
    base: str | None = None
    limit: int | None = None
    left_out: tuple[str, ...] = ()  # URIs of folders of which nothing is listed, such as the output of the job
    extra_columns: tuple[str, ...] = ()  # further columns to carry along, as ManifestSummary found them
