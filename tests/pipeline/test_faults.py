"""Faults of machine and process: real launchers, killed, doubled, out of space, interrupted. The table is in
tests/README.md.
"""

import collections
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from gate import Gate
from launcher import Launchers, launchers
from waiting import wait_until

PHOTOS = 60
BATCHES_OF_A_SHARD = 6  # or fewer: its size follows from a hash, 4 images on average, 3 of which are a batch


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    with launchers(tmp_path_factory.mktemp("launchers")) as started:
        yield started


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A manifest of photos, of which one is broken, one missing and one there twice."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    names = [f"{i:03d}.png" for i in range(PHOTOS)]
    for name in names:
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (12, 12, 3), np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "manifest.txt").write_text("\n".join([*names, "broken.png", "missing.png", names[7]]))
    return folder


def arguments(photos: Path, output: Path, *settings: str) -> list[str]:
    chosen = (f"input.manifest={photos}/manifest.txt", f"output.path={output}", "run.id=r1", "run.shard_size=4",
              "explain.batch_size=3", "run.max_failure_rate=1", "overlays.max_side=16", *settings)  # fmt: skip
    return ["run", *(part for setting in chosen for part in ("--set", setting))]


def table(output: Path) -> list[dict]:
    """All rows, in an order that does not depend on the shards, wherever the output is."""
    folder = output / "statistics"
    rows = pq.read_table(folder).to_pylist() if folder.exists() else []
    for row in rows:
        row["overlay_uri"] = row["overlay_uri"] and row["overlay_uri"].removeprefix(str(output))
    return sorted(rows, key=lambda row: (row["image_id"], row["target_index"] or 0))


def summary(output: Path, run_id: str = "r1") -> dict:
    """The summary of a run, which must account for every line of its manifest."""
    read = json.loads((output / "runs" / run_id / "summary.json").read_text())
    assert read["inputs"] == read["images"] + read["duplicates"]
    assert read["images"] == read["explained_now"] + read["done_before"]
    return read


def temporary_files(output: Path) -> list[str]:
    return [path.name for path in output.rglob("*") if path.is_file() and path.name.startswith(".")]


@pytest.fixture(scope="module")
def undisturbed(photos, launch, tmp_path_factory) -> list[dict]:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    assert launch.run(*arguments(photos, output)) == 0, launch.log
    rows = table(output)
    assert collections.Counter(row["status"] for row in rows) == {"OK": PHOTOS, "DECODE_ERROR": 1, "FETCH_ERROR": 1}
    read = summary(output)
    assert (read["inputs"], read["duplicates"], read["images"], read["failures"]) == (PHOTOS + 3, 1, PHOTOS + 2, 2)
    line = json.loads(launch.log.splitlines()[-1])
    assert (line["exit_code"], line["images"], line["failures"]) == (0, PHOTOS + 2, 2)
    assert temporary_files(output) == []
    assert not any((output / "leases").iterdir())
    return rows


def count_parts(output: Path) -> int:
    return sum(1 for _ in (output / "statistics").rglob("part-*.parquet"))


def kill_again_and_again(launch: Launchers, gate: Gate, command: list[str], output: Path, kills: int) -> None:
    """Kill launchers at random moments, three of four after they have committed something; each may do two shards."""
    rng = random.Random(kills)
    for kill in range(kills):
        parts = count_parts(output)
        gate.let(2)
        pid = launch.start(*command, "--set", "explain.batch_size=32", gate=gate, delay=0.1)  # a shard is a batch
        if kill % 4:
            wait_until(lambda: count_parts(output) > parts)  # noqa: B023 - called in this turn
        time.sleep(rng.uniform(0, 0.3 if kill % 4 else 1))
        os.kill(pid, signal.SIGKILL)
        assert launch.wait(pid) == -signal.SIGKILL
        rows = table(output)
        assert len({row["image_id"] for row in rows}) == len(rows), "an image has its rows twice"


def test_launchers_killed_at_random_moments_leave_the_table_of_an_undisturbed_run(
    photos, launch, undisturbed, gate, tmp_path
):
    output = tmp_path / "out"
    command = arguments(photos, output)
    kill_again_and_again(launch, gate, command, output, 4)
    assert len(table(output)) < len(undisturbed)
    assert launch.run(*command) == 0, launch.log
    assert table(output) == undisturbed
    assert summary(output)["images"] == PHOTOS + 2


@pytest.mark.slow
def test_twenty_kills(photos, launch, undisturbed, gate, tmp_path):
    output = tmp_path / "out"
    command = arguments(photos, output, "run.shard_size=1")
    kill_again_and_again(launch, gate, command, output, 20)
    assert len(table(output)) < len(undisturbed)
    assert launch.run(*command) == 0, launch.log
    assert table(output) == undisturbed


def test_a_second_launcher_is_refused_until_the_first_is_dead(photos, launch, undisturbed, gate, tmp_path):
    output = tmp_path / "out"
    first = launch.start(*arguments(photos, output), gate=gate)
    gate.let(BATCHES_OF_A_SHARD)
    wait_until(lambda: count_parts(output))
    assert launch.run(*arguments(photos, output)) == 75
    assert f"run r1 of the same model is being written to this output by process {first}" in launch.log
    assert launch.run(*arguments(photos, output, "run.id=r2")) == 75  # would explain the same images
    os.kill(first, signal.SIGKILL)
    assert launch.wait(first) == -signal.SIGKILL
    assert launch.run(*arguments(photos, output)) == 0, launch.log
    assert table(output) == undisturbed


def test_interrupted_it_says_one_line_and_goes_at_once(photos, launch, undisturbed, gate, tmp_path):
    output = tmp_path / "out"
    for number, background in ((signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)):
        before = count_parts(output)
        pid = launch.start(*arguments(photos, output), gate=gate, background=background)
        gate.let(BATCHES_OF_A_SHARD)
        wait_until(lambda: count_parts(output) > before)  # noqa: B023 - called in this turn
        os.kill(pid, number)
        assert launch.wait(pid) == 130  # although the model stands at the gate, and would for ever
        said, line = launch.log.splitlines()[-2:]
        assert said == "interrupted; what was committed stays, and the same command goes on from there"
        assert json.loads(line)["exit_code"] == 130
        assert "Traceback" not in launch.log
    assert launch.run(*arguments(photos, output)) == 0, launch.log
    assert table(output) == undisturbed


def test_in_the_background_it_does_not_hear_ctrl_c(photos, launch, gate, tmp_path):
    output = tmp_path / "out"
    pid = launch.start(*arguments(photos, output, "input.limit=5"), gate=gate, background=True)
    wait_until(lambda: (output / "leases").exists())
    os.kill(pid, signal.SIGINT)  # as a terminal does to whatever was started in it
    gate.open()
    assert launch.wait(pid) == 0, launch.log
    assert len(table(output)) == 5


def test_a_full_disk_stops_the_run_with_the_cause_and_loses_nothing(photos, launch, undisturbed, tmp_path):
    output = tmp_path / "out"
    assert launch.run(*arguments(photos, output), limit=16384) == 70  # parts are larger, all else is smaller
    said, line = launch.log.splitlines()[-2:]
    assert said.startswith("the job stopped: ")
    assert f"[Errno 27] File too large: '{output}/statistics/run=r1/part-" in said
    assert json.loads(line)["exit_code"] == 70
    assert table(output) == []
    assert temporary_files(output) == []
    assert launch.run(*arguments(photos, output)) == 0, launch.log
    assert table(output) == undisturbed


def test_an_output_that_cannot_be_written_is_refused_with_the_cause(photos, launch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert launch.run(*arguments(photos, tmp_path / "file" / "out")) == 70
    assert "Not a directory" in launch.log


def test_an_output_that_vanishes_is_noticed(photos, launch, undisturbed, gate, tmp_path):
    output = tmp_path / "out"
    pid = launch.start(*arguments(photos, output), gate=gate)
    gate.let(BATCHES_OF_A_SHARD)
    wait_until(lambda: count_parts(output))
    shutil.move(output, tmp_path / "away")
    gate.open()
    assert launch.wait(pid) == 70
    # Whatever was being written as it went, an overlay or a part, says so in its own words.
    assert "has gone" in launch.log or "No such file or directory" in launch.log
    # A part whose commit had begun may have made the folder again: its rows are as good as any.
    assert all(row in undisturbed for row in table(output))
    assert launch.run(*arguments(photos, output)) == 0, launch.log
    assert table(output) == undisturbed


def test_failed_images_are_taken_up_again_and_only_these(photos, launch, tmp_path):
    output, late = tmp_path / "out", tmp_path / "late.png"
    (tmp_path / "manifest.txt").write_text(f"{photos}/000.png\n{photos}/001.png\n{late}\n{photos}/broken.png")
    settings = (f"input.manifest={tmp_path}/manifest.txt", "run.shard_size=100", "run.id=auto")
    command = arguments(photos, output, *settings)
    assert launch.run(*command) == 0, launch.log
    first = {row["uri"]: row for row in table(output)}
    assert first[str(late)]["status"] == "FETCH_ERROR"
    shutil.copy(photos / "002.png", late)
    assert launch.run(*command) == 0
    assert table(output) == list(first.values())  # nobody asked for it
    assert launch.run(*command, "--retry-failed", "FETCH_ERROR") == 0, launch.log
    assert "explaining again: 1 images that failed, 0 that have changed" in launch.log
    rows = table(output)
    assert len(rows) == 4
    second = {row["uri"]: row for row in rows}
    assert (second[str(late)]["status"], second[f"{photos}/broken.png"]["status"]) == ("OK", "DECODE_ERROR")
    unchanged = [uri for uri in first if first[uri] == second[uri]]
    assert len(unchanged) == 3
    assert launch.run(*command, "--retry-failed") == 0
    assert "explaining again: 1 images that failed" in launch.log
    assert len(table(output)) == 4


def test_failures_of_another_manifest_keep_their_rows(photos, launch, tmp_path):
    output = tmp_path / "out"
    assert launch.run(*arguments(photos, output)) == 0
    (tmp_path / "manifest.txt").write_text(f"{photos}/missing.png")
    settings = (f"input.manifest={tmp_path}/manifest.txt", "run.id=auto", "run.retry_failed=all")
    assert launch.run(*arguments(photos, output, *settings)) == 0
    rows = table(output)
    assert len(rows) == PHOTOS + 2
    assert {row["uri"].rpartition("/")[2]: row["run_id"] == "r1" for row in rows if row["status"] != "OK"} == {
        "broken.png": True, "missing.png": False}  # fmt: skip


def test_changed_content_is_explained_again(photos, launch, tmp_path):
    names = ["a.png", "b.png", "c.png"]
    for name, source in zip(names, ("000.png", "001.png", "002.png"), strict=True):
        shutil.copy(photos / source, tmp_path / name)
    (tmp_path / "manifest.txt").write_text("\n".join([*names, "none.png"]))
    output = tmp_path / "out"
    settings = (f"input.manifest={tmp_path}/manifest.txt", "run.id=auto", "input.detect_changes=true")
    command = arguments(photos, output, *settings)
    assert launch.run(*command) == 0, launch.log
    first = {row["uri"]: row for row in table(output)}
    assert first[f"{tmp_path}/a.png"]["content_version"].startswith(f"{(tmp_path / 'a.png').stat().st_size}-")
    assert launch.run(*command) == 0
    assert table(output) == list(first.values())
    shutil.copy(photos / "003.png", tmp_path / "b.png")
    (tmp_path / "c.png").unlink()  # gone is not changed: the rows stay
    assert launch.run(*command) == 0
    second = {row["uri"]: row for row in table(output)}
    assert sorted(second) == sorted(first)
    changed = [uri for uri in first if first[uri] != second[uri]]
    assert changed == [f"{tmp_path}/b.png"]
    assert first[changed[0]]["content_sha256"] != second[changed[0]]["content_sha256"]


def test_a_wrong_bucket_ends_the_run_early(photos, launch, tmp_path):
    (tmp_path / "manifest.txt").write_text("\n".join(f"/nowhere/{i}.png" for i in range(40)))
    settings = (f"input.manifest={tmp_path}/manifest.txt", "run.max_failures=10", "run.shard_size=100")
    assert launch.run(*arguments(photos, tmp_path / "out", *settings)) == 1
    line = json.loads(launch.log.splitlines()[-1])
    assert line["exit_code"] == 1
    assert line["error"].startswith("nothing but failures: the first 10 images of a worker all failed")
    assert "No such file or directory" in line["error"]
    # What failed before may fail again: that is no sign of a wrong bucket.
    assert launch.run(*arguments(photos, tmp_path / "out", *settings, "run.max_failures=0")) == 0
    assert launch.run(*arguments(photos, tmp_path / "out", *settings), "--retry-failed") == 0
    assert len(table(tmp_path / "out")) == 40


@pytest.mark.slow
def test_a_wrong_bucket_ends_the_run_in_worker_processes_too(photos, launch, tmp_path):
    (tmp_path / "manifest.txt").write_text("\n".join(f"/nowhere/{i}.png" for i in range(40)))
    settings = (f"input.manifest={tmp_path}/manifest.txt", "run.max_failures=5", "run.shard_size=20", "run.workers=2")
    assert launch.run(*arguments(photos, tmp_path / "out", *settings)) == 1, launch.log
    line = json.loads(launch.log.splitlines()[-1])
    assert line["error"].startswith("nothing but failures: the first ")
    assert "No such file or directory" in line["error"]


def test_a_crash_after_a_run_that_met_nothing_but_failures_is_a_crash(photos, launch, tmp_path):
    output, manifest = tmp_path / "out", tmp_path / "manifest.txt"
    settings = (f"input.manifest={manifest}", "run.max_failures=10", "run.shard_size=100")
    manifest.write_text("\n".join(f"/nowhere/{i}.png" for i in range(40)))
    assert launch.run(*arguments(photos, output, *settings)) == 1
    assert (output / "runs" / "r1" / "stopped.json").exists()
    manifest.write_text("\n".join(map(str, sorted(photos.glob("0*.png")))))
    assert launch.run(*arguments(photos, output, *settings), limit=16384) == 70
    assert json.loads(launch.log.splitlines()[-1])["error"].startswith("the job stopped: ")
    assert not (output / "runs" / "r1" / "stopped.json").exists()
    assert launch.run(*arguments(photos, output, *settings)) == 0, launch.log
    assert [row["status"] for row in table(output)] == ["OK"] * PHOTOS


def test_a_run_id_belongs_to_one_model_and_one_choice_of_targets(photos, launch, tmp_path):
    output = tmp_path / "out"
    assert launch.run(*arguments(photos, output, "input.limit=3")) == 0
    assert launch.run(*arguments(photos, output, "input.limit=3", "explain.targets=top_k:2")) == 2
    assert "run.id: r1 was made with another model" in launch.log


def test_logs_are_json_when_asked_for(photos, launch, tmp_path):
    assert launch.run(*arguments(photos, tmp_path / "out", "input.limit=5"), "--log-format", "json") == 0
    lines = [json.loads(line) for line in launch.log.splitlines()]
    assert {"time", "level", "logger", "message"} == set(lines[0])
    assert lines[-1]["exit_code"] == 0
    assert len(lines) < 12
