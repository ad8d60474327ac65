import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from transforms.records import ImageRef, RefBlock, image_id_of
from transforms.shards import (
    PackedRefs,
    PlanShards,
    bucket_of,
    plan_shard,
    split_done,
    split_refs,
)
from transforms.table.done import DoneImages


def ref(uri: str, **known) -> ImageRef:
    return ImageRef(uri, image_id_of(uri), **known)


def pack(refs, start=0) -> PackedRefs:
    return PackedRefs.of(refs, start)


def done(*images: tuple[str, bool]) -> DoneImages:
    return DoneImages(tuple(image_id_of(uri) for uri, _ in images), tuple(failed for _, failed in images))


def test_a_bucket_becomes_each_image_once_in_the_order_of_the_uris():
    refs = [ref("c"), ref("a"), ref("b"), ref("a"), ref("c"), ref("a")]
    shard = plan_shard(3, [done(("b", True)), done(("x", False)), pack(refs[:2]), pack(refs[2:], 2)])
    assert [image.uri for image in shard.refs] == ["a", "c"]
    assert (shard.duplicates, shard.done, shard.done_failed) == (3, 1, 1)
    assert shard.shard_id.startswith("00003-")


def test_the_id_of_a_shard_names_its_images_whatever_the_order_they_come_in():
    one = plan_shard(0, [pack([ref("a"), ref("b")])])
    same = plan_shard(0, [pack([ref("b")]), pack([ref("a"), ref("b")], 1)])
    less = plan_shard(0, [done(("a", False)), pack([ref("a"), ref("b")])])
    assert one.shard_id == same.shard_id
    assert one.shard_id != less.shard_id


def test_labels_of_several_lines_are_a_conflict_or_all_true():
    lines = [
        ref("a", label="cat"),
        ref("a", label="dog"),
        ref("a", label="cat;grass", labels=("cat", "grass")),
        ref("b", label="cat"),
        ref("b", label="cat"),
        ref("c", labels=()),
        ref("c", label="dog"),
    ]
    first = plan_shard(0, [pack(lines)])
    assert first.refs == (lines[0], lines[3], lines[5])
    assert (first.conflicts, first.conflict) == (2, "a is 'cat' and 'dog' and 'cat; grass'")
    every = plan_shard(0, [pack(lines)], all_labels=True)
    assert every.refs[0] == ref("a", label="cat;dog;grass", labels=("cat", "dog", "grass"))
    assert every.refs[1] == lines[3]
    assert every.conflicts == 0


def test_what_lines_say_of_one_image_is_merged_in_the_order_of_the_manifest():
    one, two, three = (0.0, 0.0, 5.0, 5.0), (1.0, 1.0, 9.0, 9.0), (2.0, 2.0, 3.0, 3.0)
    blocks = [
        pack([ref("a", boxes=(two,), extra=(None, "north")), ref("b", label="7")], 0),
        pack([ref("a", label="cat", boxes=(one,), targets=("3",), extra=("x", "south"))], 2),
        pack([ref("a", label="cat", boxes=(two, three), targets=("4", "3"), extra=("y", None)), ref("c")], 3),
    ]
    merged = ref("a", label="cat", boxes=(two, one, three), targets=("3", "4"), extra=("x", "north"))
    for order in (blocks, blocks[::-1], [blocks[1], blocks[2], blocks[0]]):  # the shuffle keeps none
        shard = plan_shard(0, order)
        assert shard.refs == (merged, ref("b", label="7"), ref("c"))
        assert (shard.duplicates, shard.conflicts, shard.conflict) == (2, 0, "")


def test_nothing_to_find_and_something_to_find_is_something_to_find():
    box = (0.0, 0.0, 5.0, 5.0)
    lines = [ref("a", boxes=()), ref("a"), ref("a", boxes=(box,)), ref("b", boxes=()), ref("b"), ref("c"), ref("c")]
    shard = plan_shard(0, [pack(lines)])
    assert [image.boxes for image in shard.refs] == [(box,), (), None]


def test_several_labels_of_one_image_are_counted_with_an_example_and_the_first_line_counts():
    blocks = [pack([ref("b", label="2"), ref("a")]), pack([ref("a", label="cat"), ref("b", label="1")], 2),
              pack([ref("a", label="dog"), ref("a", label="cat"), ref("c", label="3")], 4)]  # fmt: skip
    for order in (blocks, blocks[::-1]):
        shard = plan_shard(0, [*order, done(("b", False))])
        assert {image.uri: image.label for image in shard.refs} == {"a": "cat", "c": "3"}
        assert (shard.conflicts, shard.conflict) == (2, "a is 'cat' and 'dog'")


def test_finished_images_are_dealt_to_the_buckets_of_their_references():
    uris = [f"photo-{i}" for i in range(50)]
    dealt = dict(split_done(done(*((uri, False) for uri in uris)), 7))
    assert sum(len(images.image_ids) for images in dealt.values()) == 50
    for bucket, images in dealt.items():
        assert {bucket_of(image_id, 7) for image_id in images.image_ids} == {bucket}


def test_what_is_shuffled_is_small_and_comes_out_as_it_went_in():
    coder = FastPrimitivesCoder()
    refs = [ref(f"s3://bucket/photos/2024-05/camera-3/{i:06d}.jpg", label=str(i % 7)) for i in range(100)]
    refs += [ref("a b.png", targets=("3", "cat"), boxes=((1.0, 2.0, 3.0, 4.5),), extra=("é", None))]
    ((bucket, packed),) = split_refs(RefBlock(7, tuple(refs)), 1)
    assert packed.start == 7
    assert (bucket, list(packed)) == (0, refs)
    assert list(coder.decode(coder.encode(packed))) == refs
    assert len(coder.encode(packed)) < len(coder.encode(refs)) / 3
    ((_, few),) = split_refs(RefBlock(0, tuple(refs[:3])), 1)
    assert list(coder.decode(coder.encode(few))) == refs[:3]
    images = done(*((one.uri, i % 3 == 0) for i, one in enumerate(refs)))
    assert coder.decode(coder.encode(images)) == images
    assert len(coder.encode(images)) < 20 * len(refs)


def test_in_the_graph_every_image_is_planned_counted_as_done_or_a_duplicate():
    uris = [f"photo-{i % 80}" for i in range(100)]  # 80 images, 20 lines twice
    finished = done(*((f"photo-{i}", i % 2 == 0) for i in range(30)), ("gone from the manifest", False))

    def check(found):
        shards = [shard for together in found for shard in together]
        assert max(len(together) for together in found) == 2
        assert max(len(shard.refs) for shard in shards) <= 7
        planned = [image.uri for shard in shards for image in shard.refs]
        assert sorted(planned) == sorted(f"photo-{i}" for i in range(30, 80))
        assert sum(shard.duplicates for shard in shards) == 20
        assert sum(shard.done for shard in shards) == 30
        assert sum(shard.done_failed for shard in shards) == 15
        assert len({shard.shard_id for shard in shards}) == len(shards)

    with TestPipeline() as root:
        blocks = [RefBlock(i, tuple(ref(uri) for uri in uris[i : i + 30])) for i in range(0, 100, 30)]
        assert_that(root | beam.Create([*blocks, finished]) | PlanShards(5, shard_size=5, in_turn=2), check)
