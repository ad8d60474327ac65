"""References -> shards: the only shuffle of the job. Duplicates and finished images fall out here."""

import dataclasses
import pickle
import zlib
from collections.abc import Iterable, Iterator

import apache_beam as beam

from transforms.dealing import cut_shard, several, shard_id
from transforms.duplicates import describe_conflict, labels_of, merge_lines
from transforms.records import ImageRef, RefBlock, Shard, image_id_of
from transforms.table import DoneImages

# Bytes. Below it compression takes longer than the rest of planning: in large jobs few lines of a block share a bucket.
_WORTH_COMPRESSING = 1000


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


def block_size(buckets: int) -> int:
    """How many references are split at once: some of each bucket, and not more than a worker's memory holds easily.

    References that go together compress well, and cost a runner as much as a single one: a third of the bytes and a
    quarter of the elements at ten million lines, where blocks of 32,768 have three of each bucket.
    """
    return min(max(16 * buckets, 1 << 15), 1 << 18)


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
