"""Images inside larger files, read in the order in which they lie there: some megabytes a request, not an image."""

import dataclasses
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from transforms.records import ImageRef
from transforms.storage.archives import ArchiveChanged, TarMember
from transforms.storage.block_file import open_blocks
from transforms.storage.group_stream import GroupStream
from transforms.storage.members import Member, split_member
from transforms.storage.rows import RowMember
from transforms.storage.storage import Storage

_BLOCK = 16 << 20  # bytes of one request, but for an image, or a row group, that is larger
_GAP = 1 << 18  # bytes between two images that are read rather than left out by a further request
_AHEAD = 1  # blocks fetched before the first image of them is asked for


@dataclasses.dataclass(eq=False)
class _Block:
    """A range of a file, held until the last of its images was given out."""

    file: str
    start: int
    end: int
    left: int  # images
    content: Future[bytes] = dataclasses.field(default_factory=Future)
    is_asked: bool = False
    groups: dict[int, Any] = dataclasses.field(default_factory=dict)  # of a Parquet file: decoded, by their first byte
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    uris: list[str] = dataclasses.field(default_factory=list)  # of the images of a row group that is streamed
    stream: GroupStream | None = None


class SequentialReader:
    """The images of a shard that lie in containers. Its methods may be called from many threads at a time.

    Memory: three blocks or so, where the images are asked for in their order. A row group of a Parquet file that is
    larger than a block is read as a stream.
    """

    def __init__(self, refs: Sequence[ImageRef], storage: Storage):
        self._storage = storage
        self._blocks: list[_Block] = []
        self._block_of: dict[str, int] = {}  # by URI
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(2, "blocks")
        for ref in refs:
            self._plan(ref)

    @property
    def has_images(self) -> bool:
        """Whether any image of the shard lies in a container."""
        return bool(self._block_of)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def has_read(self, ref: ImageRef) -> bool:
        """Whether :meth:`fetch` gives the image at once: its bytes are here, and no index or footer has to be asked."""
        place = self._block_of.get(ref.uri)
        if place is None or not ref.uri.startswith(("tar:", "tfrecord:")) or ref.span is None:
            return False
        content = self._blocks[place].content
        return content.done() and content.exception() is None

    def fetch(self, ref: ImageRef, max_bytes: int) -> bytes | None:
        """The encoded image; None where it has to be fetched by itself, which may also tell what is wrong with it.

        Raises:
            ImageFailure: TOO_LARGE.
        """
        place = self._block_of.get(ref.uri)
        if place is None:
            return None
        block = self._blocks[place]
        if block.uris:
            return self._streamed(ref, block, max_bytes)
        try:
            for number in range(place, min(place + _AHEAD + 1, len(self._blocks))):
                if not self._blocks[number].uris:
                    self._ask_for(self._blocks[number])
            content = block.content.result()
            return self._image_of(ref, block, content, max_bytes)
        except (ArchiveChanged, OSError, ValueError, TimeoutError):
            return None

    def _plan(self, ref: ImageRef) -> None:
        found = split_member(ref.uri)
        if found is None or ref.uri in self._block_of:
            return
        span = ref.span
        if span is None and found[0] == "tfrecord":
            member = self._member_of(ref)
            span = None if member is None else member.span
        if span is None:
            return
        start, end = span[0], span[0] + span[1]
        last = self._blocks[-1] if self._blocks else None
        if (
            last is not None
            and last.file == found[2]
            and last.start <= start
            and (end <= last.end or (start - last.end <= _GAP and end - last.start <= _BLOCK))
        ):
            last.end, last.left = max(last.end, end), last.left + 1
        else:
            last = _Block(found[2], start, end, 1)
            self._blocks.append(last)
        if found[0] == "parquet" and end - start > _BLOCK:
            last.uris.append(ref.uri)
        self._block_of[ref.uri] = len(self._blocks) - 1

    def _member_of(self, ref: ImageRef) -> Member | None:
        if ref.span is not None and ref.uri.startswith("tar:"):
            return TarMember.at(ref.span)
        found = self._storage.member(ref.uri)
        return None if found is None else found[1]

    def _streamed(self, ref: ImageRef, block: _Block, max_bytes: int) -> bytes | None:
        """An image of a row group that is larger than a block."""
        try:
            member = self._member_of(ref)
        except (OSError, ValueError, TimeoutError):
            return None
        if not isinstance(member, RowMember) or member.span != (block.start, block.end - block.start):
            return None
        with block.lock:
            if block.stream is None:
                block.stream = GroupStream(
                    member,
                    _row_of(ref.uri) - member.row,
                    map(_row_of, block.uris),
                    lambda: open_blocks(block.file, self._storage, block.start, block.end),
                )
        return block.stream.image(_row_of(ref.uri), max_bytes)

    def _ask_for(self, block: _Block) -> None:
        with self._lock:
            if block.is_asked or not block.left:
                return
            block.is_asked = True
        self._pool.submit(self._fetch_block, block)

    def _fetch_block(self, block: _Block) -> None:
        try:
            block.content.set_result(self._storage.fetch_range(block.file, block.start, block.end))
        except Exception as error:  # noqa: BLE001 - each of its images is fetched by itself then
            block.content.set_exception(OSError(str(error)))

    def _image_of(self, ref: ImageRef, block: _Block, content: bytes, max_bytes: int) -> bytes | None:
        def read_range(start: int, end: int) -> bytes:
            if block.start <= start and end <= block.end:
                return content[start - block.start : end - block.start]
            return self._storage.fetch_range(block.file, start, end)

        member = self._member_of(ref)
        if member is None:
            return None
        if isinstance(member, RowMember):
            first = member.span[0]
            with block.lock:  # the first that comes decodes for all
                if first not in block.groups:
                    block.groups[first] = member.decode(read_range)
                images = block.groups[first]
            return member.pick(images, max_bytes)
        return member.read(read_range, max_bytes)

    def let_go(self, ref: ImageRef) -> None:
        """Whoever wanted the image has it, or wants it no more: said once of each."""
        place = self._block_of.pop(ref.uri, None)
        if place is None:
            return
        block = self._blocks[place]
        with block.lock:
            stream = block.stream
        if stream is not None:
            stream.let_go(_row_of(ref.uri))
        with self._lock:
            block.left -= 1
            if not block.left:
                block.content = Future()
                block.groups = {}
                block.stream = None


def _row_of(uri: str) -> int:
    """Of the image that a ``parquet://`` URI names, in its file."""
    found = split_member(uri)
    assert found is not None
    return int(found[1].partition("/")[0])
