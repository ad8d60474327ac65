"""Parts: one Parquet file per shard, written last and in one step. A part that is there is whole: it is the commit."""

import dataclasses
import io
import json
import operator
from collections import Counter
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.records import ShardResult, Status
from transforms.schema import SCHEMA_VERSION
from transforms.storage import Storage

_METADATA_KEY = b"beam_gradcam"


@dataclasses.dataclass(frozen=True, slots=True)
class DoneImages:
    """The images of one part: they have their rows, be it results or failures."""

    image_ids: tuple[str, ...]
    failed: tuple[bool, ...]


@dataclasses.dataclass(frozen=True)
class PartFooter:
    """What a part says about itself, read without its rows."""

    run_id: str
    shard_id: str
    fingerprint: str
    schema_version: str
    images: int
    rows: int
    statuses: dict[str, int]  # images per status; one failed row makes the image a failure
    seconds: dict[str, float]  # per step, added up over the threads
    events: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Totals:
    """Counts over all shards of a run: manifest lines = planned + done + duplicates."""

    planned: int = 0  # images that this run had to explain
    done: int = 0  # images that had their rows before, with the same fingerprint
    done_failed: int = 0  # of these, failures
    duplicates: int = 0  # further lines with the URI of an image that is counted already

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*map(operator.add, dataclasses.astuple(self), dataclasses.astuple(other)))


@dataclasses.dataclass(frozen=True)
class TableLocation:
    """Where a run's parts are."""

    output: str
    run_id: str
    fingerprint: str

    @property
    def folder(self) -> str:
        return f"{self.output}/statistics/run={self.run_id}"

    @property
    def totals_uri(self) -> str:
        return f"{self.output}/runs/{self.run_id}/totals.json"

    def part_uri(self, shard_id: str) -> str:
        return f"{self.folder}/part-{shard_id}.parquet"


class WriteStatistics(beam.PTransform):
    """Shard results -> parts; passes on what each shard counted."""

    def __init__(self, table: TableLocation, storage: Storage):
        super().__init__()
        self._table = table
        self._storage = storage

    def expand(self, results: beam.PCollection[ShardResult]) -> beam.PCollection[Totals]:
        return results | "Parts" >> beam.Map(write_part, self._table, self._storage)


class WriteTotals(beam.PTransform):
    """The counts of all shards -> one small file, the sign that every shard of the run is committed."""

    def __init__(self, table: TableLocation, storage: Storage):
        super().__init__()
        self._table = table
        self._storage = storage

    def expand(self, totals: beam.PCollection[Totals]) -> beam.PCollection[str]:
        return (
            totals
            | "Sum" >> beam.CombineGlobally(lambda counts: sum(counts, Totals()))
            | "File" >> beam.Map(write_totals, self._table, self._storage)
        )


class ReadDoneImages(beam.PTransform):
    """The parts under an output -> the images that have rows with the same fingerprint; without resume, none."""

    def __init__(self, table: TableLocation, resume: bool, storage: Storage):
        super().__init__()
        self._tables = [f"{table.output}/statistics"] if resume else []
        self._fingerprint = table.fingerprint
        self._storage = storage

    def expand(self, root: beam.Pipeline) -> beam.PCollection[DoneImages]:
        return (
            root
            | "Tables" >> beam.Create(self._tables)
            | "ListParts" >> beam.FlatMap(list_parts, self._storage)
            | "DoneImages" >> beam.FlatMap(read_done_images, self._fingerprint, self._storage)
        )


def write_part(result: ShardResult, table: TableLocation, storage: Storage) -> Totals:
    """Commit the rows of a shard, if it has any. Writing the same part again changes nothing."""
    if result.rows.num_rows:
        storage.put(table.part_uri(result.shard.shard_id), encode_part(result, table))
    shard = result.shard
    return Totals(len(shard.refs), shard.done, shard.done_failed, shard.duplicates)


def write_totals(totals: Totals, table: TableLocation, storage: Storage) -> str:
    storage.put(table.totals_uri, json.dumps(dataclasses.asdict(totals)).encode())
    return table.totals_uri


def encode_part(result: ShardResult, table: TableLocation) -> bytes:
    """The Parquet bytes of a part: zstd, with a footer that says what is inside."""
    statuses = _image_statuses(result.rows)
    footer = PartFooter(
        run_id=table.run_id,
        shard_id=result.shard.shard_id,
        fingerprint=table.fingerprint,
        schema_version=SCHEMA_VERSION,
        images=len(statuses),
        rows=result.rows.num_rows,
        statuses=dict(Counter(statuses.values())),
        seconds=result.seconds,
        events=result.events,
    )
    schema = result.rows.schema.with_metadata(
        {
            _METADATA_KEY: json.dumps(dataclasses.asdict(footer)).encode(),
            b"schema_version": SCHEMA_VERSION.encode(),
            b"fingerprint": table.fingerprint.encode(),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(result.rows.cast(schema), buffer, compression="zstd")
    return buffer.getvalue()


def list_parts(statistics: str, storage: Storage) -> Iterator[str]:
    """The URIs of all parts below a folder; temporary files have other names."""
    for uri in storage.walk(statistics):
        name = uri.rpartition("/")[2]
        if name.startswith("part-") and name.endswith(".parquet"):
            yield uri


def read_footer(uri: str, storage: Storage) -> PartFooter:
    """What the part at ``uri`` says about itself.

    Raises:
        ValueError: the file is not a part of this table.
    """
    with storage.open(uri) as file:
        try:
            return _footer(pq.ParquetFile(file))
        except (pa.ArrowInvalid, KeyError, TypeError) as error:
            raise _not_a_part(uri, error) from error


def read_done_images(uri: str, fingerprint: str, storage: Storage) -> Iterator[DoneImages]:
    """The images of one part, if it was made with the same fingerprint."""
    with storage.open(uri) as file:
        try:
            parquet = pq.ParquetFile(file)
            footer = _footer(parquet)
        except (pa.ArrowInvalid, KeyError, TypeError) as error:
            raise _not_a_part(uri, error) from error
        if footer.fingerprint == fingerprint:
            statuses = _image_statuses(parquet.read(columns=["image_id", "status"]))
            yield DoneImages(tuple(statuses), tuple(Status(status).is_failure for status in statuses.values()))


def _image_statuses(rows: pa.Table) -> dict[str, str]:
    """The status of each image: a failure if one of its rows is."""
    statuses: dict[str, str] = {}
    for image_id, status in zip(rows["image_id"].to_pylist(), rows["status"].to_pylist(), strict=True):
        if image_id not in statuses or Status(status).is_failure:
            statuses[image_id] = status
    return statuses


def _footer(parquet: pq.ParquetFile) -> PartFooter:
    return PartFooter(**json.loads((parquet.schema_arrow.metadata or {})[_METADATA_KEY]))


def _not_a_part(uri: str, error: Exception) -> ValueError:
    return ValueError(f"{uri} is not a part that this version can read ({error}); move it out of the statistics folder")
