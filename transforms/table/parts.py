"""Parts: one Parquet file per shard, written last and in one step. A part that is there is whole: it is the commit."""

import contextlib
import dataclasses
import datetime
import io
import json
import operator
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.ahead import map_ahead
from transforms.records import FAILURES, ShardResult
from transforms.storage.storage import Storage
from transforms.table.schema import SCHEMA_VERSION

_METADATA_KEY = b"beam_gradcam"
_READERS = 16  # threads that read parts: they wait for the storage most of the time
_BLOCK = 1 << 16  # images


@dataclasses.dataclass(frozen=True, slots=True)
class DoneImages:
    """Images that have their rows, be it results or failures."""

    image_ids: tuple[str, ...]
    failed: tuple[bool, ...]

    def __reduce__(self) -> tuple[Callable[[bytes, bytes], "DoneImages"], tuple]:
        """Pickled as 17 bytes an image, a third of what texts take: the shuffle holds those of the whole table."""
        return _done_images, (bytes.fromhex("".join(self.image_ids)), bytes(self.failed))


def _done_images(image_ids: bytes, failed: bytes) -> DoneImages:
    return DoneImages(
        tuple(image_ids[i : i + 16].hex() for i in range(0, len(image_ids), 16)), tuple(map(bool, failed))
    )


@dataclasses.dataclass(frozen=True)
class PartFooter:
    """What a part says about itself, read without its rows."""

    run_id: str
    shard_id: str
    fingerprint: str
    targets: str
    schema_version: str
    images: int
    rows: int
    statuses: dict[str, int]  # images per status; one failed row makes the image a failure
    seconds: dict[str, float]  # per step, added up over the threads
    events: dict[str, int]
    committed: str  # ISO 8601, UTC


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
    """Where a run's parts are, and what its rows are of."""

    output: str
    run_id: str
    fingerprint: str
    targets: str = "predicted"  # rows of other target classes do not make an image done
    token: str | None = None  # of the launcher whose lease lets workers commit; None: there is no lease to look at

    @property
    def folder(self) -> str:
        return f"{self.output}/statistics/run={self.run_id}"

    @property
    def totals_uri(self) -> str:
        return f"{self.output}/runs/{self.run_id}/totals.json"

    @property
    def lease_uri(self) -> str:
        return f"{self.output}/leases/{self.fingerprint}.json"

    @property
    def earlier_uri(self) -> str:
        """The list of the parts that were there when the run was launched: what it builds on."""
        return f"{self.output}/runs/{self.run_id}/earlier.txt"

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
            | "Key" >> beam.WithKeys(self._table.run_id)  # CombineGlobally would be nine steps more
            | "Sum" >> beam.CombinePerKey(add_totals)
            | beam.Values()
            | "File" >> beam.Map(write_totals, self._table, self._storage)
        )


class ReadDoneImages(beam.PTransform):
    """The parts that were there at launch -> the images that have rows with the same fingerprint.

    The list of parts is a file that the launcher wrote. Were it made here, a step that the runner repeats would find
    parts of this very run and plan other shards than before.
    """

    def __init__(self, table: TableLocation, storage: Storage):
        super().__init__()
        self._table = table
        self._storage = storage

    def expand(self, root: beam.Pipeline) -> beam.PCollection[DoneImages]:
        return root | beam.Impulse() | "DoneImages" >> beam.FlatMap(_read_earlier_parts, self._table, self._storage)


class LeaseLostError(RuntimeError):
    """The launcher of this job no longer holds the lease: another may be at work, so nothing may be committed."""


def write_part(result: ShardResult, table: TableLocation, storage: Storage) -> Totals:
    """Commit the rows of a shard, if it has any. Writing the same part again changes nothing.

    Raises:
        LeaseLostError: the launcher has died and another has taken over, or the output has been removed.
    """
    if result.rows.num_rows:
        check_lease(table, storage)
        storage.put(table.part_uri(result.shard.shard_id), encode_part(result, table))
    shard = result.shard
    return Totals(len(shard.refs), shard.done, shard.done_failed, shard.duplicates)


def add_totals(counts: Iterable[Totals]) -> Totals:
    return sum(counts, Totals())


def write_totals(totals: Totals, table: TableLocation, storage: Storage) -> str:
    storage.put(table.totals_uri, json.dumps(dataclasses.asdict(totals)).encode())
    return table.totals_uri


def encode_part(result: ShardResult, table: TableLocation) -> bytes:
    """The Parquet bytes of a part: zstd, with a footer that says what is inside."""
    footer = PartFooter(
        run_id=table.run_id,
        shard_id=result.shard.shard_id,
        fingerprint=table.fingerprint,
        targets=table.targets,
        schema_version=SCHEMA_VERSION,
        images=0,
        rows=0,
        statuses={},
        seconds=result.seconds,
        events=result.events,
        committed=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
    )
    return _encode(result.rows, footer)


def _encode(rows: pa.Table, footer: PartFooter) -> bytes:
    """Rows with a footer whose counts are theirs."""
    statuses = image_statuses(rows)
    footer = dataclasses.replace(
        footer, images=len(statuses), rows=rows.num_rows, statuses=dict(Counter(statuses.values()))
    )
    schema = rows.schema.with_metadata(
        {
            _METADATA_KEY: json.dumps(dataclasses.asdict(footer)).encode(),
            b"schema_version": footer.schema_version.encode(),
            b"fingerprint": footer.fingerprint.encode(),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(rows.cast(schema), buffer, compression="zstd")
    return buffer.getvalue()


def check_lease(table: TableLocation, storage: Storage) -> None:
    """Raises LeaseLostError where the launcher of this job is not the one that may write."""
    if table.token is None:
        return
    try:
        token = json.loads(storage.read(table.lease_uri))["token"]
    except FileNotFoundError:
        raise LeaseLostError(
            f"{table.lease_uri} has gone: the launcher has ended, or the output was removed during the run; "
            "nothing more is written"
        ) from None
    if token != table.token:
        raise LeaseLostError(f"{table.lease_uri} belongs to another launcher now; this job writes nothing more")


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
    with _open_part(uri, storage) as (_, footer):
        return footer


def read_part(uri: str, storage: Storage, columns: list[str]) -> pa.Table:
    """Some columns of a part; raises ValueError as :func:`read_footer`."""
    with _open_part(uri, storage) as (parquet, _):
        return parquet.read(columns=columns)


def remove_images(uri: str, image_ids: Collection[str], storage: Storage) -> bool:
    """Rewrite a part without the rows of some images, in one step; remove it if none are left.

    Returns:
        Whether the part is still there.
    """
    with _open_part(uri, storage) as (parquet, footer):
        rows = parquet.read()
    left = rows.filter(pc.invert(pc.is_in(rows["image_id"], pa.array(image_ids, pa.string()))))
    if left.num_rows:
        storage.put(uri, _encode(left, footer))
    else:
        storage.remove(uri)
    return left.num_rows > 0


def write_earlier_parts(table: TableLocation, parts: Iterable[str], storage: Storage) -> None:
    """Write down what a run builds on, before it begins."""
    storage.put(table.earlier_uri, "\n".join(parts).encode())


def _read_earlier_parts(_impulse: bytes, table: TableLocation, storage: Storage) -> Iterator[DoneImages]:
    """Some of each bucket in every block: parts of a run with other buckets would fall apart into single images."""
    image_ids: list[str] = []
    failed: list[bool] = []
    for done in read_earlier_parts(table, storage):
        image_ids += done.image_ids
        failed += done.failed
        if len(image_ids) >= _BLOCK:
            yield DoneImages(tuple(image_ids), tuple(failed))
            image_ids, failed = [], []
    if image_ids:
        yield DoneImages(tuple(image_ids), tuple(failed))


def read_earlier_parts(table: TableLocation, storage: Storage) -> Iterator[DoneImages]:
    """The images of the parts that a run builds on, part by part, read ahead."""
    parts = storage.read(table.earlier_uri).decode().splitlines()
    with ThreadPoolExecutor(_READERS, "parts") as readers:
        for found in map_ahead(lambda uri: read_done_images(uri, table, storage), parts, readers, 64):
            if found is not None:
                yield found


def read_done_images(uri: str, table: TableLocation, storage: Storage) -> DoneImages | None:
    """The images of one part; None if it was made with another model or for other targets."""
    with _open_part(uri, storage) as (parquet, footer):
        if (footer.fingerprint, footer.targets) != (table.fingerprint, table.targets):
            return None
        statuses = image_statuses(parquet.read(columns=["image_id", "status"]))
    return DoneImages(tuple(statuses), tuple(status in FAILURES for status in statuses.values()))


def image_statuses(rows: pa.Table) -> dict[str, str]:
    """The status of each image, by its id: a failure if one of its rows is."""
    statuses: dict[str, str] = {}
    for image_id, status in zip(rows["image_id"].to_pylist(), rows["status"].to_pylist(), strict=True):
        if image_id not in statuses or status in FAILURES:
            statuses[image_id] = status
    return statuses


@contextlib.contextmanager
def _open_part(uri: str, storage: Storage) -> Iterator[tuple[pq.ParquetFile, PartFooter]]:
    with storage.open(uri) as file:
        try:
            parquet = pq.ParquetFile(file)
            footer = PartFooter(**json.loads((parquet.schema_arrow.metadata or {})[_METADATA_KEY]))
        except (pa.ArrowInvalid, KeyError, TypeError) as error:
            raise ValueError(
                f"{uri} is not a part that this version can read ({error}); move it out of the statistics folder"
            ) from error
        yield parquet, footer
