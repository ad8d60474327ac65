"""Marks and notes on images, beside the run: one small file, rewritten in one step."""

import dataclasses
import io
import threading
from collections.abc import Sequence, Set

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.explore.errors import ExploreError
from pipeline.runs import utc_now
from transforms.storage import MOST_STATE, Storage, read_state

MOST_TAGGED = 100_000
"""Images in one go."""

_SCHEMA = pa.schema([
    ("image_id", pa.string()),
    ("uri", pa.string()),
    ("tag", pa.string()),
    ("note", pa.string()),  # NULL: none
    ("created", pa.string()),  # ISO 8601, UTC
])  # fmt: skip
_LONGEST = {"tag": 100, "note": 2000}  # characters


@dataclasses.dataclass(eq=False)
class Tags:
    """The tags of a run: in a file for everybody, and as the table ``tags`` for queries.

    The file is read again before each change, so that what others have marked meanwhile stays.
    """

    uri: str
    storage: Storage
    database: duckdb.DuckDBPyConnection

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._connection = self.database.cursor()
        self._load(self._read())

    def counts(self) -> list[dict[str, object]]:
        """Every tag and how many images have it."""
        with self._lock:
            found = self._connection.execute("SELECT tag, count(*) FROM tags GROUP BY tag ORDER BY tag").fetchall()
        return [{"tag": tag, "images": images} for tag, images in found]

    def add(self, images: Sequence[tuple[str, str]], tag: str, note: str | None) -> int:
        """Mark images, (image_id, uri) each; those that have the tag get the new note. Returns how many there were.

        Raises:
            ExploreError: the tag or note is too long, there are too many images, or the file cannot be written.
        """
        if len(images) > MOST_TAGGED:
            raise ExploreError(
                f"{len(images):,} images at once are too many: mark at most {MOST_TAGGED:,}, or export them"
            )
        mark = {"tag": _checked("tag", tag), "note": _checked("note", note) if note else None, "created": utc_now()}
        uris = dict(images)
        self._rewrite(uris.keys(), mark["tag"], [{"image_id": name, "uri": uri, **mark} for name, uri in uris.items()])
        return len(uris)

    def remove(self, images: Sequence[str], tag: str) -> int:
        """Take a mark away from images, by id; returns how many had it."""
        return self._rewrite(set(images), tag, [])

    def _rewrite(self, images: Set[str], tag: str | None, rows: list[dict[str, str | None]]) -> int:
        """Put ``rows`` in place of those of the tag and the images; returns how many of these there were."""
        with self._lock:
            old = self._read().to_pylist()
            kept = [row for row in old if row["tag"] != tag or row["image_id"] not in images]
            table = pa.Table.from_pylist(sorted([*kept, *rows], key=lambda row: (row["tag"], row["image_id"])), _SCHEMA)
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd")
            if buffer.tell() > MOST_STATE:
                raise ExploreError(f"{self.uri} would be larger than {MOST_STATE:,} bytes: export the images instead")
            try:
                self.storage.put(self.uri, buffer.getvalue())
            except OSError as error:
                raise ExploreError(f"{self.uri} cannot be written, so nothing is marked: {error}") from None
            self._load(table)
        return len(old) - len(kept)

    def _load(self, table: pa.Table) -> None:
        self._connection.register("read_tags", table)
        self._connection.execute("CREATE OR REPLACE TABLE tags AS FROM read_tags")
        self._connection.unregister("read_tags")

    def _read(self) -> pa.Table:
        try:
            content = read_state(self.uri, self.storage)
        except FileNotFoundError:
            return _SCHEMA.empty_table()
        try:
            return pq.read_table(io.BytesIO(content)).select(_SCHEMA.names).cast(_SCHEMA)
        except (pa.ArrowException, KeyError, OSError) as error:
            raise ExploreError(f"{self.uri} is not a file of tags ({error}); move it away") from None


def _checked(what: str, text: object) -> str:
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST[what]:
        raise ExploreError(f"a {what} is a text of 1 to {_LONGEST[what]} characters")
    return text.strip()
