"""How the images of a job are dealt out: how many shards there are, of how many images, and which follow each other."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

from transforms.records import ImageRef, Shard

_MOST_LINES = 1 << 14
"""Of the manifest, that are planned together: those of a bucket."""

_ALL = 1 << 20
_SMALL = 256  # images of a small shard: full batches, where these are of as many or of a power of two that is less
_BUCKETS_OF_A_WORKER = 4
"""Dealt out by a hash and in advance, they are not all alike, so each worker has some."""


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


def bucket_count(images: int, shard_size: int) -> int:
    """How many shards: about ``shard_size`` images each, at least one."""
    return max(1, -(-images // shard_size))


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
