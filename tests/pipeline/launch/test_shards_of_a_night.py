"""Shards are for what is left to explain: few new images of a large table are few parts, and large buckets are cut."""

import cv2
import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from pipeline.config.read import load_config
from pipeline.launch.run import launch
from transforms.records import ImageRef, Shard, image_id_of
from transforms.shards import bucket_count, cut_shard, shard_id


def explain(folder, manifest: list[str], run: str) -> list[int]:
    """The images of each part of a run whose shards are to have four."""
    (folder / "manifest.txt").write_text("\n".join(manifest))
    settings = [f"input.manifest={folder}/manifest.txt", f"output.path={folder}/out", f"run.id={run}"]
    settings += ["run.shard_size=4", "model.source=none", "model.input_size=32", "overlays.policy=none"]
    assert launch(load_config(None, settings), (), Console(quiet=True)) == 0
    parts = sorted((folder / "out" / "statistics" / f"run={run}").glob("*.parquet"))
    return [pq.read_metadata(part).num_rows for part in parts]


def test_two_new_images_of_a_table_are_one_part_and_those_of_other_manifests_do_not_make_shards_larger(tmp_path):
    photos = [str(tmp_path / f"{number:02d}.png") for number in range(62)]
    for number, photo in enumerate(photos):
        cv2.imwrite(photo, np.full((8, 8, 3), number, np.uint8))
    first = explain(tmp_path, photos[:40], "first")
    assert sum(first) == 40
    assert len(first) >= 8
    assert explain(tmp_path, photos[:42], "second") == [2]
    # 42 images have rows, more than this manifest has lines; none of them is one of these.
    third = explain(tmp_path, photos[42:], "third")
    assert sum(third) == 20
    assert max(third) <= 8


def test_a_bucket_of_more_than_twice_the_size_is_cut_in_order_and_counted_once():
    refs = tuple(ImageRef(f"{number:03d}", image_id_of(f"{number:03d}")) for number in range(103))
    shard = Shard(shard_id(7, refs), refs, 5, 6, 1, 2, "a is 'cat' and 'dog'")
    assert list(cut_shard(shard, 52)) == [shard]
    parts = list(cut_shard(shard, 25))
    assert [len(part.refs) for part in parts] == [25, 26, 26, 26]
    assert sum((part.refs for part in parts), ()) == refs
    assert [part.shard_id for part in parts] == [shard_id(7, part.refs) for part in parts]
    assert len({part.shard_id for part in parts}) == 4
    assert [(part.duplicates, part.done, part.done_failed, part.conflicts) for part in parts] == [
        (5, 6, 1, 2),
        *[(0, 0, 0, 0)] * 3,
    ]
    assert [part.conflict for part in parts] == [shard.conflict, "", "", ""]


def test_a_large_table_has_shards_that_are_planned_in_little_memory_though_little_is_left():
    assert bucket_count(10, 256, 1_000_000) == 62
    assert bucket_count(1_000_000, 1024, 1_000_000) == 977
