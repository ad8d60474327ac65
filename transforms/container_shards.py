"""Shards that follow the files in which their images lie, so that a worker reads a file from front to back."""

import dataclasses
import hashlib
import itertools
import operator
from collections.abc import Iterable, Iterator

import apache_beam as beam

from transforms.dealing import several, shard_id
from transforms.records import ImageRef, Shard
from transforms.shards import PackedRefs
from transforms.storage import split_member

_REACH = 1 << 30  # bytes of one file that may come to one worker before they are cut into shards
_MOST = 16  # times the size of a shard: up to this, images of one row group, which is read as a whole, stay together


class FollowContainers(beam.PTransform):
    """Shards -> shards of the same images, those of one file together and in its order; both some in turn.

    A second shuffle of references, for manifests of files that hold images only. The counts of the first shards go
    along.
    """

    def __init__(self, buckets: int, shard_size: int, in_turn: int = 1):
        super().__init__()
        self._buckets = buckets
        self._shard_size = shard_size
        self._in_turn = in_turn

    def expand(self, shards: beam.PCollection[tuple[Shard, ...]]) -> beam.PCollection[tuple[Shard, ...]]:
        return (
            shards
            | "Each" >> beam.FlatMap(tuple)
            | "KeyFiles" >> beam.FlatMap(split_by_file, self._buckets)
            | "Files" >> beam.GroupByKey()
            | "Cut" >> beam.FlatMapTuple(_cut_in_turn, self._shard_size, self._in_turn)
            | "Deal" >> beam.Reshuffle()
        )


def split_by_file(shard: Shard, buckets: int) -> Iterator[tuple[int, tuple[PackedRefs, Shard]]]:
    """The references of a shard by the files that they lie in; the counts of the shard go with the first of them."""
    of_key: dict[int, list[ImageRef]] = {}
    for ref in shard.refs:
        of_key.setdefault(_key(ref, buckets), []).append(ref)
    counts = dataclasses.replace(shard, refs=())
    nothing = Shard("", (), 0, 0, 0)
    for number, (key, refs) in enumerate((of_key or {0: []}).items()):
        yield key, (PackedRefs.of(refs), nothing if number else counts)


def _cut_in_turn(
    key: int, group: Iterable[tuple[PackedRefs, Shard]], shard_size: int = 256, in_turn: int = 1
) -> Iterator[tuple[Shard, ...]]:
    return several(tuple(cut_shards(key, group, shard_size)), in_turn)


def cut_shards(key: int, group: Iterable[tuple[PackedRefs, Shard]], shard_size: int = 256) -> Iterator[Shard]:
    """Shards of about ``shard_size`` images that follow each other; the first has the counts of all."""
    refs: list[ImageRef] = []
    counts: list[Shard] = []
    for packed, counted in group:
        refs += packed
        counts.append(counted)
    refs.sort(key=_place)
    for number, some in enumerate(_cut(refs, shard_size)):
        of_all = [] if number else counts
        yield Shard(
            shard_id=shard_id(key, some),
            refs=tuple(some),
            duplicates=sum(counted.duplicates for counted in of_all),
            done=sum(counted.done for counted in of_all),
            done_failed=sum(counted.done_failed for counted in of_all),
            conflicts=sum(counted.conflicts for counted in of_all),
            conflict=min((counted.conflict for counted in of_all if counted.conflict), default=""),
        )


def _cut(refs: list[ImageRef], shard_size: int) -> Iterator[list[ImageRef]]:
    """At least one, though it be empty."""
    some: list[ImageRef] = []
    for _, together in itertools.groupby(refs, operator.attrgetter("span") if refs and refs[0].span else id):
        for ref in together:
            if len(some) >= _MOST * shard_size:
                yield some
                some = []
            some.append(ref)
        if len(some) >= shard_size:
            yield some
            some = []
    if some or not refs:
        yield some


def _key(ref: ImageRef, buckets: int) -> int:
    found = split_member(ref.uri)
    name = ref.uri if found is None else f"{found[2]} {(ref.span or (0, 0))[0] // _REACH}"
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()) % buckets


def _place(ref: ImageRef) -> tuple[str, int, int, str]:
    """The file, where in it, and of a row group the row."""
    found = split_member(ref.uri)
    if found is None:
        return ("", 0, 0, ref.uri)
    kind, name, file = found
    row = int(name.partition("/")[0]) if kind == "parquet" else 0
    return (file, (ref.span or (0, 0))[0], row, ref.uri)
