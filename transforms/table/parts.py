"""Parts: one Parquet file per shard, written last and in one step. A part that is there is whole: it is the commit."""

import contextlib
import dataclasses
import datetime
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.records import FAILURES, ShardResult, Status
from transforms.storage import Storage, decode_state, list_files, not_state, patiently
from transforms.table.embeddings import remove_embeddings
from transforms.table.location import TableLocation, is_part
from transforms.table.schema import SCHEMA_VERSION

_METADATA_KEY = b"beam_gradcam"
_WHAT = "a part"
_REMEDY = "move it out of the statistics folder; the next run explains its images again"


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
    model_digest: str = ""  # of the compiled model's files; parts of earlier versions do not say
    embeddings: str = ""  # what lies in the table of embeddings for its images: see table/embeddings


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
        model_digest=table.model_digest,
        embeddings=table.embeddings,
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


def list_parts(statistics: str, storage: Storage) -> Iterator[str]:
    """The URIs of all parts below a folder; temporary files have other names."""
    for uri in list_files(statistics, storage):
        if is_part(uri):
            yield uri


def read_footer(uri: str, storage: Storage) -> PartFooter:
    """What the part at ``uri`` says about itself.

    Raises:
        StateError: the file is not a part of this table, or damaged.
        NotAnsweringError: it does not answer.
    """
    with _open_part(uri, storage) as (_, footer):
        return footer


def read_part(uri: str, storage: Storage, columns: list[str] | None) -> pa.Table:
    """Some columns of a part, of those that it has, or all of them; raises as :func:`read_footer`."""
    with _open_part(uri, storage) as (parquet, _):
        return parquet.read(columns=columns)


def remove_images(uri: str, image_ids: Collection[str], storage: Storage) -> bool:
    """Rewrite a part without the rows of some images, in one step; remove it if none are left. Their embeddings go too.

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
    if footer.embeddings:
        remove_embeddings(uri, image_ids if left.num_rows else None, storage)
    return left.num_rows > 0


def replace_rows(uri: str, rows: pa.Table, storage: Storage) -> None:
    """Rewrite a part with other rows, in one step; what its footer counts is counted anew."""
    footer = read_footer(uri, storage)
    storage.put(uri, _encode(rows, footer))


def text_array(texts: Sequence[str | None]) -> pa.Array:
    r"""A column of texts. What is no text for a file, as a name that is no UTF-8, is escaped: ``\\udcff``."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array(
            [None if text is None else text.encode("utf-8", "backslashreplace").decode() for text in texts], pa.string()
        )


def image_statuses(rows: pa.Table) -> dict[str, str]:
    """The status of each image, by its id: a failure if one of its rows is."""
    statuses: dict[str, str] = {}
    for image_id, status in zip(rows["image_id"].to_pylist(), rows["status"].to_pylist(), strict=True):
        if image_id not in statuses or status in FAILURES:
            statuses[image_id] = status
    return statuses


@contextlib.contextmanager
def _open_part(uri: str, storage: Storage) -> Iterator[tuple[pq.ParquetFile, PartFooter]]:
    """Raises StateError, also where a page turns out to be damaged while the part is read."""
    with contextlib.closing(patiently(lambda: storage.open(uri), uri, storage.timeout)) as file:
        try:
            parquet = patiently(lambda: pq.ParquetFile(file), uri, storage.timeout)
            yield parquet, _decode_footer((parquet.schema_arrow.metadata or {})[_METADATA_KEY], uri)
        except (pa.ArrowException, KeyError, OSError) as error:
            if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
                raise  # of the store; Arrow has OSError without a number for pages that cannot be unpacked
            raise not_state(uri, _WHAT, str(error), _REMEDY) from error


def _decode_footer(content: bytes, uri: str) -> PartFooter:
    footer = decode_state(PartFooter, content, uri, _WHAT, _REMEDY)
    unknown = footer.statuses.keys() - set(Status)
    if unknown:
        raise not_state(uri, _WHAT, f"statuses {', '.join(sorted(unknown))[:200]}", _REMEDY)
    try:
        is_aware = datetime.datetime.fromisoformat(footer.committed).tzinfo is not None
    except ValueError:
        is_aware = False
    if not is_aware:
        raise not_state(uri, _WHAT, f"committed {footer.committed[:200]!r}", _REMEDY)
    return footer
