"""The images that have their rows already: what a run builds on."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from transforms.concurrency import map_ahead
from transforms.records import FAILURES
from transforms.storage import Storage, not_state, read_state
from transforms.table.location import TableLocation, is_part
from transforms.table.parts import PartFooter, _open_part, image_statuses

_READERS = 16  # threads that read parts: they wait for the storage most of the time
_BLOCK = 1 << 16  # images
_MOST_PARTS = 1 << 28  # bytes of their list: a million


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


def write_earlier_parts(table: TableLocation, parts: Iterable[str], storage: Storage) -> None:
    """Write down what a run builds on, before it begins."""
    storage.put(table.run.earlier, "\n".join(parts).encode(errors="surrogateescape"))


def read_done_blocks(table: TableLocation, storage: Storage) -> Iterator[DoneImages]:
    """The images that have rows with the same fingerprint in the parts that were there at launch.

    Some of each bucket in every block: parts of a run with other buckets would fall apart into single images.
    """
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
    try:
        parts = _parts_in(read_state(table.run.earlier, storage, _MOST_PARTS), table)
    except FileNotFoundError:
        if table.token is not None:
            raise
        return  # nobody launched this job: it is part of somebody's own pipeline
    with ThreadPoolExecutor(_READERS, "parts") as readers:
        for found in map_ahead(lambda uri: read_done_images(uri, table, storage), parts, readers, 64):
            if found is not None:
                yield found


def _parts_in(content: bytes, table: TableLocation) -> list[str]:
    """The URIs in the list of earlier parts; nothing else is opened, whatever the list says.

    Raises:
        StateError: a line is no part of this output.
    """
    parts = content.decode(errors="surrogateescape").splitlines()
    for part in parts:
        below = part.removeprefix(f"{table.layout.statistics}/")
        if below == part or not is_part(part) or ".." in below.split("/"):
            raise not_state(
                table.run.earlier, "the list of the parts", f"it names {part[:200]!r}", "run the same command again"
            )
    return parts


def counts_for(footer: PartFooter, table: TableLocation) -> bool:
    """Whether the images of a part are done for a run that writes to ``table``.

    They are where the part was made with the same model for the same targets, and has the embeddings that are wanted.
    """
    has_embeddings = not table.embeddings or footer.embeddings in (table.embeddings, "with_probabilities")
    return has_embeddings and (footer.fingerprint, footer.targets) == (table.fingerprint, table.targets)


def read_done_images(uri: str, table: TableLocation, storage: Storage) -> DoneImages | None:
    """The images of one part; None if they do not count: see :func:`counts_for`."""
    with _open_part(uri, storage) as (parquet, footer):
        if not counts_for(footer, table):
            return None
        statuses = image_statuses(parquet.read(columns=["image_id", "status"]))
    return DoneImages(tuple(statuses), tuple(status in FAILURES for status in statuses.values()))
