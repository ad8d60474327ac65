"""References -> shards: the only shuffle of the job. Duplicates and finished images fall out here."""

import dataclasses
import hashlib
import itertools
import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import apache_beam as beam

from transforms.duplicates import describe_conflict, labels_of, merge_lines
from transforms.records import ImageRef, RefBlock, Shard, image_id_of
from transforms.table import DoneImages

# Bytes. Below it compression takes longer than the rest of planning: in large jobs few lines of a block share a bucket.
_WORTH_COMPRESSING = 1000

_MOST_LINES = 1 << 14
"""Of the manifest, that are planned together: those of a bucket."""

_ALL = 1 << 20
_SMALL = 256  # images of a small shard: full batches, where these are of as many or of a power of two that is less
_BUCKETS_OF_A_WORKER = 4
"""Dealt out by a hash and in advance, they are not all alike, so each worker has some."""


@dataclasses.dataclass(frozen=True, slots=True)
class PackedRefs:
    """References on their way through the shuffle, which may hold those of a whole manifest in memory, several times.

    Compressed they take a third or less: URIs have most of their text in common.
    """

    start: int  # where in the manifest the block lies that they are of; within it, they keep their order
    content: bytes
    is_compressed: bool

    @classmethod
    def of(cls, refs: Iterable[ImageRef], start: int = 0) -> "PackedRefs":
        content = pickle.dumps(tuple(refs))
        if len(content) < _WORTH_COMPRESSING:
            return cls(start, content, False)
        compress = zlib.compressobj(level=1, wbits=13, memLevel=4)  # a small window: making a large one takes 70 us
        return cls(start, compress.compress(content) + compress.flush(), True)

    def __iter__(self) -> Iterator[ImageRef]:
        return iter(pickle.loads(zlib.decompress(self.content) if self.is_compressed else self.content))

    def __reduce__(self) -> tuple[type["PackedRefs"], tuple]:
        """As :meth:`transforms.records.ImageRef.__reduce__`."""
        return PackedRefs, (self.start, self.content, self.is_compressed)


class PlanShards(beam.PTransform):
    """Blocks of references and of finished images of earlier runs -> shards of images that are still to be explained.

    An element is shards that one worker explains in turn.

    The number of buckets is fixed when the job is built, so that every runner knows the keys of the shuffle beforehand.
    What a bucket has to explain is cut into shards.

    Args:
        all_labels: where lines of one image have different labels, all of them are true; else they are a conflict.
        shard_size: images of a shard; half as many more at most.
        in_turn: shards of an element, at most.
    """

    def __init__(self, buckets: int, all_labels: bool = False, shard_size: int = 1024, in_turn: int = 1):
        super().__init__()
        self._buckets = buckets
        self._all_labels = all_labels
        self._shard_size = shard_size
        self._in_turn = in_turn

    def expand(self, blocks: beam.PCollection[RefBlock | DoneImages]) -> beam.PCollection[tuple[Shard, ...]]:
        return (
            blocks
            | "Key" >> beam.FlatMap(split_block, self._buckets)
            | beam.GroupByKey()
            | "Plan" >> beam.MapTuple(plan_shard, all_labels=self._all_labels)
            | "Cut" >> beam.Map(cut_shard, self._shard_size)
            | "Turns" >> beam.FlatMap(several, self._in_turn)
        )


def bucket_count(images: int, shard_size: int) -> int:
    """How many shards: about ``shard_size`` images each, at least one."""
    return max(1, -(-images // shard_size))


def block_size(buckets: int) -> int:
    """How many references are split at once: some of each bucket, and not more than a worker's memory holds easily.

    References that go together compress well, and cost a runner as much as a single one: a third of the bytes and a
    quarter of the elements at ten million lines, where blocks of 32,768 have three of each bucket.
    """
    return min(max(16 * buckets, 1 << 15), 1 << 18)


@dataclasses.dataclass(frozen=True)
class Deal:
    """How the images of a job are dealt out."""

    buckets: int  # keys of the shuffle
    shard_size: int  # images of a shard, and so of its part
    in_turn: int = 1  # shards of one element, at most

    def shards_of(self, images: int) -> int:
        """About how many shards so many images are."""
        return self.buckets * shard_count(-(-images // self.buckets), self.shard_size)


def deal(images: int, lines: int, shard_size: int | Literal["auto"], workers: int | None) -> Deal:
    """Shards for what is left to explain: few of a table that is nearly done, not as many as the manifest has lines.

    Args:
        images: that are to be explained; where it turns out that there are more, there are more shards.
        lines: of the manifest, those of images that are done included.
        workers: processes of this machine that all elements are for: their shards follow each other, and while one ends
            the next begins. None: a cluster, which shares out and repeats elements, so each is one shard; several
            threads of a worker see to it there that its cores are not idle.
    """
    size = automatic_shard_size(images) if shard_size == "auto" else shard_size
    buckets = bucket_count(images, size)
    if workers is not None:
        buckets = min(buckets, 1 if workers == 1 else _BUCKETS_OF_A_WORKER * workers)
    return Deal(max(buckets, -(-lines // _MOST_LINES)), size, 1 if workers is None else _ALL)


def automatic_shard_size(images: int) -> int:
    """Large enough that padded tails do not count, small enough to show progress and to lose little."""
    return min(max(images // 8 // _SMALL * _SMALL, _SMALL), 4 * _SMALL)


def bucket_of(image_id: str, buckets: int) -> int:
    """The bucket of an image: from its id alone, so it is the same in every run with as many buckets."""
    return int(image_id[:16], 16) % buckets


def split_block(block: RefBlock | DoneImages, buckets: int) -> Iterator[tuple[int, PackedRefs | DoneImages]]:
    """What a block has of each bucket."""
    return split_done(block, buckets) if isinstance(block, DoneImages) else split_refs(block, buckets)


def split_refs(block: RefBlock, buckets: int) -> Iterator[tuple[int, PackedRefs]]:
    """The references of one block, by bucket."""
    by_bucket: dict[int, list[ImageRef]] = {}
    for ref in block.refs:
        by_bucket.setdefault(bucket_of(ref.image_id, buckets), []).append(ref)
    for bucket, some in by_bucket.items():
        yield bucket, PackedRefs.of(some, block.start)


def split_done(done: DoneImages, buckets: int) -> Iterator[tuple[int, DoneImages]]:
    """The finished images of one part, by bucket."""
    by_bucket: dict[int, list[tuple[str, bool]]] = {}
    for image in zip(done.image_ids, done.failed, strict=True):
        by_bucket.setdefault(bucket_of(image[0], buckets), []).append(image)
    for bucket, images in by_bucket.items():
        yield bucket, DoneImages(*zip(*images, strict=True))


def plan_shard(bucket: int, group: Iterable[PackedRefs | DoneImages], all_labels: bool = False) -> Shard:
    """The shard of a bucket: each image once, in the order of the URIs, without the finished ones.

    What several lines say of one image is merged, see :func:`transforms.duplicates.merge_lines`. The shard's id names
    its images: a retry of the same plan writes the same part, another plan another part.
    """
    failed: dict[str, bool] = {}
    packs: list[PackedRefs] = []
    for some in group:
        if isinstance(some, DoneImages):
            failed.update(zip(some.image_ids, some.failed, strict=True))
        else:
            packs.append(some)
    count = 0
    lines: dict[str, list[ImageRef]] = {}
    # The shuffle keeps no order of the blocks: which line of an image is the first, their places tell.
    for packed in sorted(packs, key=lambda packed: packed.start):
        for ref in packed:
            count += 1
            lines.setdefault(ref.image_id, []).append(ref)
    repeated = [] if all_labels else [some for some in lines.values() if len(some) > 1]
    conflicts = [some[0].uri for some in repeated if len(labels_of(some)) > 1]
    example = min(conflicts, default=None)
    refs = sorted(
        (merge_lines(some, all_labels) for image_id, some in lines.items() if image_id not in failed),
        key=lambda ref: ref.uri,
    )
    done = [failed[image_id] for image_id in lines if image_id in failed]
    return Shard(
        shard_id=shard_id(bucket, refs),
        refs=tuple(refs),
        duplicates=count - len(lines),
        done=len(done),
        done_failed=sum(done),
        conflicts=len(conflicts),
        conflict="" if example is None else describe_conflict(example, labels_of(lines[image_id_of(example)])),
    )


def cut_shard(shard: Shard, size: int) -> tuple[Shard, ...]:
    """A shard as several of ``size`` images, the last with up to half as many more; the first has the counts of all.

    So all batches of all but the last are full, where ``size`` is a multiple of theirs.
    """
    count = shard_count(len(shard.refs), size)
    if count == 1:
        return (shard,)
    bucket = int(shard.shard_id.partition("-")[0])
    ends = [*(size * number for number in range(1, count)), len(shard.refs)]
    parts = [shard.refs[start:end] for start, end in itertools.pairwise([0, *ends])]
    nothing = Shard("", (), 0, 0, 0)
    return tuple(
        dataclasses.replace(nothing if number else shard, shard_id=shard_id(bucket, refs), refs=refs)
        for number, refs in enumerate(parts)
    )


def shard_count(images: int, size: int) -> int:
    """How many :func:`cut_shard` makes of so many images."""
    return max(1, 1 + -(-(2 * images - 3 * size) // (2 * size)))


def several(shards: tuple[Shard, ...], in_turn: int) -> Iterator[tuple[Shard, ...]]:
    """The same, up to ``in_turn`` together."""
    for start in range(0, len(shards), in_turn):
        yield shards[start : start + in_turn]


def shard_id(bucket: int, refs: Sequence[ImageRef]) -> str:
    """``<bucket>-<digest of the images>``: the same images give the same id."""
    digest = hashlib.blake2b("".join(ref.image_id for ref in refs).encode(), digest_size=6).hexdigest()
    return f"{bucket:05d}-{digest}"
