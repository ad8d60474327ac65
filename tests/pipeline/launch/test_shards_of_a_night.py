"""Shards are for what is left to explain: few new images of a large table are few parts."""

import cv2
import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from pipeline.config.read import load_config
from pipeline.launch.run import launch


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
    assert first == [4] * 10
    assert explain(tmp_path, photos[:42], "second") == [2]
    # 42 images have rows, more than this manifest has lines; none of them is one of these.
    third = explain(tmp_path, photos[42:], "third")
    assert third == [4] * 5
