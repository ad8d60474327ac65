"""Whole jobs over files that hold images: the rows, overlays and resume are those of the same images as loose files."""

import json
from pathlib import Path

import beam_gradcam as bg
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from containers import Packed, write_parquet, write_records, write_tar, write_zip
from launcher import Launchers, launchers
from rich.console import Console

from pipeline.cli import app
from pipeline.config import config_of
from pipeline.launch import launch as launch_here

CLASSES = ("red", "green", "blue")  # of the fake model
OF_THE_FILE = {"run_id", "uri", "image_id", "overlay_uri", "name", "content_version"}
COUNT = 30


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    with launchers(tmp_path_factory.mktemp("launchers")) as started:
        yield started


@pytest.fixture(scope="module")
def images() -> list[Packed]:
    noise = np.random.default_rng(5)
    found = []
    for number in range(COUNT):
        photo = noise.integers(0, 256, (16, 16, 3), np.uint8)
        photo[:8, :8, number % 3] = 255
        found.append(Packed(f"{number:03d}", cv2.imencode(".png", photo)[1].tobytes(), CLASSES[2 - number % 3]))
    return found


@pytest.fixture(scope="module")
def loose(images, launch, tmp_path_factory):
    """The rows of loose files in folders of their labels."""
    folder = tmp_path_factory.mktemp("loose")
    for image in images:
        (folder / "in" / image.label).mkdir(parents=True, exist_ok=True)
        (folder / "in" / image.label / f"{image.name}.png").write_bytes(image.content)
    run(launch, folder, folder / "in", "input.labels=folder")
    return rows_of(folder)


def run(launch: Launchers, folder: Path, manifest: Path | str, *settings: str, code: int = 0) -> dict:
    """Run a job; the summary of it, or what it said. Output is ``folder/out``."""
    chosen = (f"input.manifest={manifest}", f"output.path={folder}/out", "explain.batch_size=4", *settings)
    assert launch.run("run", *(part for one in chosen for part in ("--set", one))) == code, launch.log
    line = json.loads(launch.log.splitlines()[-1])
    return json.loads(Path(line["summary"]).read_text()) if "summary" in line else line


def rows_of(folder: Path) -> list[dict]:
    """By content, without what a loose file has otherwise."""
    rows = pq.read_table(folder / "out" / "statistics").to_pylist()
    rows = [{name: value for name, value in row.items() if name not in OF_THE_FILE and name != "run"} for row in rows]
    return sorted(rows, key=lambda row: row["content_sha256"])


def pack(kind: str, folder: Path, images: list[Packed]) -> Path:
    """Three files, of unlike lengths."""
    folder.mkdir()
    for number, some in enumerate((images[:4], images[4:21], images[21:])):
        path = folder / f"{number}.{kind}"
        if kind == "parquet":
            write_parquet(path, some, rows=5, names=["green", "blue", "red", "yellow"])
        else:
            {"tar": write_tar, "zip": write_zip, "tfrecord": write_records}[kind](path, some)
    return folder


@pytest.mark.parametrize("kind", ["tar", "zip", "tfrecord", "parquet"])
def test_the_rows_are_those_of_loose_files(images, loose, launch, tmp_path, kind):
    manifest = pack(kind, tmp_path / "in", images)
    summary = run(launch, tmp_path, manifest, "run.shard_size=7")
    assert (summary["images"], summary["failures"], summary["duplicates"]) == (COUNT, 0, 0)
    assert rows_of(tmp_path) == loose
    table = pq.read_table(tmp_path / "out" / "statistics").to_pylist()
    for row in table:
        assert Path(row["overlay_uri"]).stat().st_size
        assert bg.read_image(row["uri"]) in {image.content for image in images}
    again = run(launch, tmp_path, manifest, "run.shard_size=7")
    assert (again["images"], again["explained_now"]) == (COUNT, 0)


def test_shards_follow_the_files(images, launch, tmp_path):
    run(launch, tmp_path, pack("tar", tmp_path / "in", images), "run.shard_size=7", "overlays.policy=none")
    files = {}
    for part in (tmp_path / "out" / "statistics").rglob("*.parquet"):
        uris = pq.read_table(part, columns=["uri"])["uri"].to_pylist()
        assert len(uris) <= 8
        for uri in uris:
            files.setdefault(uri.partition("::")[2], []).append((part.name, uri))
    parts_of_large = {part for part, _ in files[f"{tmp_path}/in/1.tar"]}
    assert len(parts_of_large) <= 4  # of 17 images in order, 7 at a time, perhaps behind others


def test_images_that_are_added_or_damaged_cost_themselves_alone(images, launch, tmp_path):
    manifest = pack("tfrecord", tmp_path / "in", images)
    run(launch, tmp_path, manifest, "overlays.policy=none")
    write_records(manifest / "3.tfrecord", [Packed("new", images[0].content, "red")])
    content = bytearray((manifest / "0.tfrecord").read_bytes())
    write_records(manifest / "4.tfrecord", images[:2])
    broken = bytearray((manifest / "4.tfrecord").read_bytes())
    broken[200] ^= 255
    (manifest / "4.tfrecord").write_bytes(broken)
    summary = run(launch, tmp_path, manifest, "overlays.policy=none", "run.max_failure_rate=1")
    assert (summary["images"], summary["explained_now"], summary["failures"]) == (COUNT + 3, 3, 1)
    table = pq.read_table(tmp_path / "out" / "statistics").to_pylist()
    (failed,) = [row for row in table if row["status"] != "OK"]
    assert failed["uri"].endswith("4.tfrecord")
    assert failed["error_message"] == "damaged in its file: the checksum of the record is wrong"
    assert content == (manifest / "0.tfrecord").read_bytes()


@pytest.mark.parametrize("kind", ["tar", "tfrecord", "parquet"])
def test_render_finds_the_images_again(images, tmp_path, capsys, kind):
    settings = {
        "input": {"manifest": str(pack(kind, tmp_path / "in", images))},
        "model": {"source": "none", "input_size": 16},
        "overlays": {"policy": "none"},
        "output": {"path": f"{tmp_path}/out"},
    }
    launch_here(config_of(settings), [], Console(quiet=True))
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        app(["render", f"{tmp_path}/out", "--limit", "3"])
    assert ended.value.code == 0
    written = capsys.readouterr().out.split()
    assert len(written) == 3
    assert all(cv2.imread(path).shape == (16, 16, 3) for path in written)
