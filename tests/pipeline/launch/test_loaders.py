"""Whole runs with loader processes whose decoders die: one row each, exit codes as configured, nothing left behind."""

import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dying_photos import DYING, write_photos
from marked_processes import Marked
from waiting import wait_until

from pipeline.config.read import load_config
from pipeline.exit_codes import ExitCode
from transforms.loaders import LoaderCount, automatic_count
from transforms.loaders.count import loaders_for
from transforms.manifest import Manifest, read_manifest
from transforms.storage import Storage

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def marked(tmp_path):
    marked = Marked()
    (tmp_path / "tmp").mkdir()
    marked.environment |= {
        "PYTHONPATH": os.pathsep.join((DYING, str(ROOT), str(ROOT / "pipeline" / "api"))),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    yield marked
    for pid in marked.pids():
        os.kill(pid, signal.SIGKILL)


def start(marked: Marked, manifest: Path, output: Path, *settings: str, **options) -> subprocess.Popen:
    chosen = ("model.source=none", f"input.manifest={manifest}", f"output.path={output}", "run.id=r1",
              "run.loaders=2", "overlays.max_side=32", *settings)  # fmt: skip
    arguments = [part for setting in chosen for part in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "run", *arguments], env=marked.environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def manifest_of(folder: Path, count: int, dying: dict[int, str]) -> Path:
    manifest = folder / "manifest.txt"
    manifest.write_text("\n".join(ref.uri for ref in write_photos(folder / "photos", count, dying)))
    return manifest


def table(output: Path) -> list[dict]:
    rows = pq.read_table(output / "statistics").to_pylist()
    for row in rows:
        row["overlay_uri"] = row["overlay_uri"] and row["overlay_uri"].removeprefix(str(output))
    return sorted(rows, key=lambda row: row["uri"])


def nothing_is_left(marked: Marked, tmp_path: Path) -> None:
    wait_until(lambda: not marked.pids(), 20)
    assert [path.name for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []


DEATHS = {4: "SIGSEGV", 9: "SIGABRT", 17: "SIGKILL", 23: "memory"}
STATUSES = {4: "DECODE_ERROR", 9: "DECODE_ERROR", 17: "DECODE_ERROR", 23: "TOO_LARGE"}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(("run.max_failure_rate=0",), id="in-the-launcher"),
        pytest.param(("run.max_failure_rate=1", "run.workers=2"), id="two-workers", marks=pytest.mark.slow),
    ],
)
def test_decoders_that_die_cost_a_row_each(marked, tmp_path, settings):
    manifest = manifest_of(tmp_path, 40, DEATHS)
    settings = (*settings, "input.max_pixels=1000000", "input.max_bytes=1000000", "run.shard_size=20")
    run = start(marked, manifest, tmp_path / "out", *settings)
    said, log = run.communicate()
    code = ExitCode.TOO_MANY_FAILURES if "run.max_failure_rate=0" in settings else ExitCode.DONE
    assert run.returncode == code, log
    rows = table(tmp_path / "out")
    assert [row["status"] for row in rows] == [STATUSES.get(i, "OK") for i in range(40)]
    assert json.loads(said.splitlines()[-1])["failures"] == len(DEATHS)
    for number, signal_name in ((4, "SIGSEGV"), (9, "SIGABRT"), (17, "SIGKILL")):
        assert rows[number]["error_type"] == "DecoderCrashed"
        assert signal_name in rows[number]["error_message"]
    assert len(list((tmp_path / "out" / "overlays").rglob("*.jpg"))) == 36
    nothing_is_left(marked, tmp_path)


def test_without_loaders_a_decoder_that_dies_ends_the_run_and_the_next_launch_gets_over_it(marked, tmp_path):
    manifest = manifest_of(tmp_path, 12, {7: "SIGSEGV"})
    run = start(marked, manifest, tmp_path / "out", "run.loaders=auto")  # few images: threads
    run.communicate()
    assert run.returncode == -signal.SIGSEGV
    run = start(marked, manifest, tmp_path / "out", "run.loaders=auto", "run.max_failure_rate=1")
    _, log = run.communicate()
    assert run.returncode == ExitCode.DONE, log
    rows = table(tmp_path / "out")
    assert [row["status"] for row in rows] == ["OK"] * 7 + ["DECODE_ERROR"] + ["OK"] * 4
    assert rows[7]["error_type"] == "DecoderCrashed"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_loaders_end_with_their_worker_however_it_ends(marked, tmp_path, ending):
    manifest = manifest_of(tmp_path, 12, {7: "hang"})  # there for a minute, if nobody ends it
    heeded = functools.partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # also where the tests are in the background
    run = start(marked, manifest, tmp_path / "out", start_new_session=True, preexec_fn=heeded)
    wait_until(lambda: len(marked.loaders()) == 2 or run.poll() is not None, 60)
    loaders = marked.loaders()
    assert len(loaders) == 2, run.communicate()[1]
    if ending == signal.SIGINT:
        os.killpg(run.pid, ending)  # as a terminal does: to all processes of the group
    else:
        os.kill(run.pid, ending)
    run.communicate()
    assert run.returncode == (-signal.SIGKILL if ending == signal.SIGKILL else ExitCode.INTERRUPTED)
    nothing_is_left(marked, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_loader_killed_every_second_changes_nothing(marked, tmp_path, workers):
    originals = [ref.uri for ref in read_manifest(Manifest("bundled:photos"), Storage())]
    manifest, photos = tmp_path / "manifest.txt", tmp_path / "photos"
    photos.mkdir()
    for number in range(2000):
        (photos / f"{number:04d}.jpg").symlink_to(originals[number % len(originals)])
    manifest.write_text("\n".join(map(str, sorted(photos.iterdir()))))
    settings = (f"run.workers={workers}", "run.shard_size=250")
    assert start(marked, manifest, tmp_path / "undisturbed", *settings, "run.loaders=0").wait() == 0
    run, rng, kills = start(marked, manifest, tmp_path / "out", *settings), random.Random(workers), []
    while run.poll() is None:
        time.sleep(1)
        if loaders := marked.loaders():
            kills.append(rng.choice(loaders))
            os.kill(kills[-1], signal.SIGKILL)
    assert run.returncode == 0, run.communicate()[1]
    assert len(kills) > 2
    assert table(tmp_path / "out") == table(tmp_path / "undisturbed")
    names = {path.name: path.read_bytes() for path in (tmp_path / "undisturbed" / "overlays").rglob("*.jpg")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "overlays").rglob("*.jpg")} == names
    nothing_is_left(marked, tmp_path)


# How many loaders there are


@pytest.mark.parametrize(
    ("cpus", "gpus", "loaders"),
    [
        (1, 0, 1),
        (2, 0, 2),
        (4, 0, 2),
        (8, 0, 4),
        (16, 0, 8),
        (96, 0, 16),
        (1, 1, 1),
        (2, 1, 1),
        (12, 1, 11),
        (64, 8, 16),
    ],
)
def test_loaders_for_the_cores(cpus, gpus, loaders):
    assert loaders_for(cpus, gpus) == loaders


def test_few_images_are_not_worth_a_start_but_a_run_that_was_cut_off_is():
    assert automatic_count(999, goes_on=False, workers=1) == LoaderCount(0)
    assert automatic_count(999, goes_on=True, workers=1) == LoaderCount(None, 1)
    assert automatic_count(1000, goes_on=False, workers=2) == LoaderCount(None, 2)
    assert LoaderCount(3).here() == 3


def test_loaders_of_the_config():
    assert load_config(None, []).run.loaders == "auto"
    assert load_config(None, ["run.loaders=3"]).run.loaders == 3
