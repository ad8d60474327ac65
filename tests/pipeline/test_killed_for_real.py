"""The bundled model on real photos, killed at random moments, against a run that nobody disturbed."""

import inspect
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest
from gate import Gate
from waiting import wait_until

from transforms.images.decode import decode_image
from transforms.manifest.read import Manifest, read_manifest
from transforms.storage.storage import Storage

CROPS = 40
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Crops of the bundled photos, so that there is something to interrupt."""
    folder, rng = tmp_path_factory.mktemp("photos"), random.Random(0)
    for ref in read_manifest(Manifest("bundled:photos"), Storage()):
        pixels = decode_image(Path(ref.uri).read_bytes()).pixels
        for number in range(CROPS):
            side = rng.randrange(128, min(pixels.shape[:2]) + 1)
            y, x = (rng.randrange(length - side + 1) for length in pixels.shape[:2])
            crop = cv2.cvtColor(pixels[y : y + side, x : x + side], cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / f"{Path(ref.uri).stem}-{number}.jpg"), crop)
    return folder


def start(photos: Path, output: Path, gate: Gate) -> subprocess.Popen:
    settings = (f"input.manifest={photos}", f"output.path={output}", "run.id=r1", "run.shard_size=8",
                "explain.batch_size=8", "explain.targets=top_k:2", "overlays.policy=none")  # fmt: skip
    arguments = [part for setting in settings for part in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, inspect.getfile(Gate), gate.folder, "run", *arguments],
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def parts(output: Path) -> int:
    return sum(1 for _ in (output / "statistics").rglob("part-*.parquet"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_table_is_that_of_an_undisturbed_run(photos, gate, tmp_path):
    undisturbed, output, rng = tmp_path / "undisturbed", tmp_path / "out", random.Random(1)
    assert start(photos, undisturbed, Gate(tmp_path / "none")).wait() == 0
    for _ in range(3):
        before = parts(output)
        launcher = start(photos, output, gate)
        gate.let(6)  # of 30 batches and more
        wait_until(lambda: parts(output) > before, 600)  # noqa: B023 - called in this turn
        time.sleep(rng.uniform(0, 0.5))
        os.kill(launcher.pid, signal.SIGKILL)
        assert launcher.wait() == -signal.SIGKILL
    assert 0 < parts(output) < parts(undisturbed)
    gate.open()
    assert start(photos, output, gate).wait() == 0
    expected, table = (
        pq.read_table(folder / "statistics").sort_by([("uri", "ascending"), ("target_rank", "ascending")])
        for folder in (undisturbed, output)
    )
    assert table.num_rows == 2 * len(list(photos.iterdir()))
    assert table.equals(expected)
