"""Jobs of ``jobs.py`` as processes, and what they leave."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from gate import Gate
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
MODULES = [ROOT, ROOT / "pipeline" / "api", ROOT / "tests" / "helpers", ROOT / "tests" / "cluster"]
JOB_SECONDS = 400
BUCKETS = 24
COLOURS = {"red": (0, 0, 200), "green": (0, 200, 0), "blue": (200, 0, 0)}  # BGR


def write_photos(folder: Path, count: int) -> list[str]:
    """Photos of one colour each in different shades, and the lines of their manifest."""
    lines = []
    for i in range(count):
        colour = list(COLOURS)[i % 3]
        photo = np.zeros((16, 16, 3), np.uint8)
        photo[:8, :8] = np.array(COLOURS[colour]) - i % 50
        photo[8:, 8:] = 10
        lines.append(str(folder / f"{colour}-{i}.png"))
        cv2.imwrite(lines[-1], photo)
    return lines


def command_line(lines: list[str], folder: Path, options: Sequence[str], *settings: str) -> list[str]:
    """``beam-gradcam run`` with the settings of :func:`start_job`'s jobs."""
    (folder / "manifest.txt").write_text("\n".join(lines))
    chosen = (f"input.manifest={folder}/manifest.txt", f"output.path={folder}/out", "run.id=r1", "run.shard_size=3",
              "explain.batch_size=8", "overlays.policy=none", *settings)  # fmt: skip
    return ["run", *(part for setting in chosen for part in ("--set", setting)), "--", *options]


def outcome_of(log: str) -> dict:
    """The line for a scheduler, from a log in which Beam's farewells come after it."""
    return json.loads([line for line in log.splitlines() if line.startswith("{")][-1])


def status_of(output: Path) -> dict:
    return command("status", str(output), "--json")[1]["runs"][0]


def start_job(
    folder: Path, name: str, lines: list[str], options: Sequence[str], gate: Gate | None = None, **how: object
) -> subprocess.Popen:
    """A job over ``lines`` into ``folder/name``, in a process of its own."""
    arguments = {"folder": str(folder), "name": name, "uris": lines, "buckets": BUCKETS, **how}
    arguments["gate"] = gate and str(gate.folder)
    place = folder / f"{name}.json"
    place.write_text(json.dumps(arguments))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, MODULES)),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "cluster" / "jobs.py"), str(place), *options],
            stdout=log, stderr=log, env=environment, start_new_session=True,
        )  # fmt: skip


def run_job(folder: Path, name: str, lines: list[str], options: Sequence[str], **how: object) -> None:
    """Run a job to its end; its log is in the message where it fails."""
    job = start_job(folder, name, lines, options, **how)
    assert job.wait(JOB_SECONDS) == 0, (folder / f"{name}.log").read_text()[-4000:]


def command(*arguments: str) -> tuple[int, dict, str]:
    """Run ``beam-gradcam`` to its end: the exit code, the JSON that it ends with, and what it said besides."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        capture_output=True, text=True, timeout=JOB_SECONDS, env=environment, cwd=ROOT,
    )  # fmt: skip
    assert ended.stdout, ended.stderr[-4000:]
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1]), ended.stderr


def run_bundled(output: Path, options: Sequence[str]) -> list[dict]:
    """Explain the bundled photos with the bundled model by the command line; the rows."""
    settings = {"input.manifest": "bundled:photos", "output.path": output, "run.id": "r1", "run.shard_size": 2}
    arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    code, outcome, said = command("run", *arguments, "--", *options)
    assert code == 0, said[-4000:]
    assert (outcome["images"], outcome["failures"]) == (6, 0)
    rows = rows_of(output.parent, output.name)
    for row in rows:
        overlay = Path(row["overlay_uri"])
        assert cv2.imread(str(overlay)) is not None
        row["overlay_uri"] = str(overlay.relative_to(output))
    return rows


def run_own_pipeline(folder: Path, uris: Sequence[str], options: Sequence[str]) -> list[dict]:
    """``own_pipeline.py`` over some images; the rows, sorted as those of :func:`rows_of`."""
    (folder / "uris.txt").write_text("\n".join(uris))
    script = Path(__file__).with_name("own_pipeline.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, MODULES))}
    ended = subprocess.run(
        [sys.executable, str(script), str(folder / "uris.txt"), str(folder / "rows" / "rows"), *options],
        capture_output=True, text=True, timeout=JOB_SECONDS, env=environment, cwd=folder,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-4000:]
    rows = pq.read_table(folder / "rows").to_pylist()
    return sorted(rows, key=lambda row: (row["uri"], row["target_rank"] or 0))


def notes_of(folder: Path, name: str) -> list[dict]:
    """What the model of a job noted, a dict for each batch, in the order of time."""
    files = (folder / f"notes-{name}").glob("*.jsonl")
    notes = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return sorted(notes, key=lambda note: note["time"])


def rows_of(folder: Path, name: str) -> list[dict]:
    return sorted(pq.read_table(folder / name / "statistics").to_pylist(), key=lambda row: row["uri"])


def wait_for_parts(folder: Path, name: str, parts: int, job: subprocess.Popen | None = None) -> None:
    """Wait until so many parts are committed; ``job`` has to stay at work until then."""

    def committed() -> bool:
        assert job is None or job.poll() is None, (folder / f"{name}.log").read_text()[-4000:]
        return len(list((folder / name).glob("statistics/*/part-*.parquet"))) >= parts

    wait_until(committed, JOB_SECONDS, f"{parts} parts")


def assert_same_table(rows: list[dict], expected: list[dict], rel: float = 1e-6) -> None:
    """The same images, the same values; floats to a relative difference, by default float32's precision."""
    assert [row["uri"] for row in rows] == [row["uri"] for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        assert row.keys() == wanted.keys()
        for column, value in wanted.items():
            if isinstance(value, float):
                assert row[column] == pytest.approx(value, rel=rel, abs=1e-3 * rel), column
            elif column == "cam":
                assert row[column] == pytest.approx(value, abs=rel), column
            else:
                assert row[column] == value, column


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and (path.name.startswith(".") or "tmp" in path.name)]
