"""How many shards there are, of how many images, and which follow each other."""

import pytest

from transforms.dealing import Deal, automatic_shard_size, bucket_count, cut_shard, deal, shard_id
from transforms.records import ImageRef, Shard, image_id_of

ALL = 1 << 20


@pytest.mark.parametrize(
    ("images", "size", "shards"),
    [(1, 256, 1), (130, 256, 1), (1000, 256, 4), (5000, 512, 10), (10_000, 1024, 10), (1_000_000, 1024, 977)],
)
def test_shards_are_neither_tiny_nor_huge(images, size, shards):
    assert automatic_shard_size(images) == size
    assert bucket_count(images, size) == shards


@pytest.mark.parametrize(
    ("images", "lines", "workers", "dealt", "shards"),
    [
        (1000, 1000, 1, Deal(1, 256, ALL), 4),  # 256, 256, 256, 232
        (5000, 5000, 1, Deal(1, 512, ALL), 10),
        (5000, 5000, 3, Deal(10, 512, ALL), 10),
        (100_000, 100_000, 2, Deal(8, 1024, ALL), 96),
        (100_000, 100_000, 1, Deal(7, 1024, ALL), 98),
        (5000, 5000, None, Deal(10, 512, 1), 10),
        (5000, 1_000_000, None, Deal(62, 512, 1), 62),  # a night: not 977
        (5000, 1_000_000, 1, Deal(62, 512, ALL), 62),
        (0, 0, 1, Deal(1, 256, ALL), 1),
    ],
)
def test_shards_of_one_machine_follow_each_other_and_those_of_a_cluster_are_elements(
    images, lines, workers, dealt, shards
):
    assert deal(images, lines, "auto", workers) == dealt
    assert dealt.shards_of(images) == shards
    assert deal(images, lines, 100, None).shard_size == 100


@pytest.mark.parametrize(
    ("images", "sizes"), [(0, [0]), (25, [25]), (37, [37]), (38, [25, 13]), (62, [25, 37]), (103, [25, 25, 25, 28])]
)
def test_a_bucket_is_cut_into_full_shards_in_order_and_counted_once(images, sizes):
    refs = tuple(ImageRef(f"{number:03d}", image_id_of(f"{number:03d}")) for number in range(images))
    shard = Shard(shard_id(7, refs), refs, 5, 6, 1, 2, "a is 'cat' and 'dog'")
    parts = cut_shard(shard, 25)
    assert [len(part.refs) for part in parts] == sizes
    assert sum((part.refs for part in parts), ()) == refs
    assert [part.shard_id for part in parts] == [shard_id(7, part.refs) for part in parts]
    counts = [(part.duplicates, part.done, part.done_failed, part.conflicts, part.conflict) for part in parts]
    assert counts == [(5, 6, 1, 2, shard.conflict), *[(0, 0, 0, 0, "")] * (len(parts) - 1)]
