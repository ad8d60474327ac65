"""Shards that follow files: every image once, in the order of its file, with the counts of the first shards."""

import random

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from transforms.container_shards import FollowContainers, cut_shards, split_by_file
from transforms.records import ImageRef, Shard, image_id_of


def ref(file: str, place: int, group: int | None = None) -> ImageRef:
    uri = f"tar://{place:04d}.jpg::{file}" if group is None else f"parquet://{place}/image::{file}"
    return ImageRef(uri, image_id_of(uri), span=(place * 1000, 900) if group is None else (group * 9000, 9000))


def first_shards(refs: list[ImageRef], count: int) -> list[Shard]:
    """As PlanShards makes them, dealt out by chance."""
    random.Random(0).shuffle(refs)
    return [Shard(f"{i}", tuple(refs[i::count]), 1, 2, 1, 1, f"image {i}") for i in range(count)]


def together(shards: list[Shard], buckets: int, size: int) -> list[Shard]:
    groups: dict[int, list] = {}
    for shard in shards:
        for key, packed in split_by_file(shard, buckets):
            groups.setdefault(key, []).append(packed)
    return [cut for key, group in groups.items() for cut in cut_shards(key, group, size)]


def test_each_image_is_in_one_shard_in_the_order_of_its_file():
    refs = [ref(f"{file}.tar", place) for file in "ab" for place in range(25)]
    shards = together(first_shards(list(refs), 4), 100, 10)
    assert sorted(image.uri for shard in shards for image in shard.refs) == sorted(image.uri for image in refs)
    assert sorted(len(shard.refs) for shard in shards) == [5, 5, 10, 10, 10, 10]
    for shard in shards:
        places = [image.span[0] for image in shard.refs]
        assert places == list(range(places[0], places[0] + 1000 * len(places), 1000))
        assert len({image.uri.partition("::")[2] for image in shard.refs}) == 1
    assert len({shard.shard_id for shard in shards}) == 6
    totals = [
        sum(getattr(shard, name) for shard in shards) for name in ("duplicates", "done", "done_failed", "conflicts")
    ]
    assert totals == [4, 8, 4, 4]
    assert {shard.conflict for shard in shards} >= {"image 0"}


def test_a_retry_cuts_the_same_shards_whatever_the_order():
    refs = [ref("a.tar", place) for place in range(30)]
    one = together(first_shards(list(refs), 4), 100, 10)
    other = together(first_shards(list(refs), 4)[::-1], 100, 10)
    assert {shard.shard_id for shard in one} == {shard.shard_id for shard in other}


def test_rows_of_one_group_stay_together_unless_there_are_too_many():
    refs = [ref("a.parquet", row, group=row // 9) for row in range(27)]
    assert [len(shard.refs) for shard in together(first_shards(list(refs), 3), 1, 4)] == [9, 9, 9]
    large = [ref("a.parquet", row, group=0) for row in range(150)]
    shards = together(first_shards(large, 3), 1, 4)
    assert [len(shard.refs) for shard in shards] == [64, 64, 22]
    assert [image.uri for shard in shards for image in shard.refs] == [
        f"parquet://{i}/image::a.parquet" for i in range(150)
    ]


def test_counts_of_shards_without_images_are_kept():
    shards = together([Shard("0", (), 3, 5, 1)], 10, 10)
    assert [(shard.refs, shard.duplicates, shard.done) for shard in shards] == [((), 3, 5)]


def test_the_transform_does_the_same_on_a_runner():
    refs = [ref("a.tar", place) for place in range(30)]
    made = first_shards(refs, 3)
    wanted = {shard.shard_id for shard in together(made, 7, 10)}

    def check(found):
        assert max(len(some) for some in found) == 2
        assert {shard.shard_id for some in found for shard in some} == wanted

    with TestPipeline() as pipeline:
        assert_that(pipeline | beam.Create([tuple(made)]) | FollowContainers(7, 10, 2), check)
