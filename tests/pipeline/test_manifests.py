"""Manifests as people bring them, through the command line: what ends in the table, and what is said."""

import csv
import datetime
import decimal
import hashlib
import http.server
import json
import secrets
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from launcher import Launchers, launchers

COLOURS = {"red": (0, 0, 200), "green": (0, 200, 0), "blue": (200, 0, 0)}  # BGR; the classes of the fake model


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    with launchers(tmp_path_factory.mktemp("launchers")) as started:
        yield started


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder for each colour with three photos of it."""
    folder = tmp_path_factory.mktemp("photos")
    for colour, value in COLOURS.items():
        (folder / colour).mkdir()
        for i in range(3):
            photo = np.zeros((16, 16, 3), np.uint8)
            photo[:8, :8] = value
            cv2.imwrite(str(folder / colour / f"{i}.png"), photo)
    return folder


def run(launch: Launchers, folder: Path, manifest: Path | str, *settings: str, code: int = 0) -> dict:
    """Run a job; the summary of it. Output is ``folder/out``."""
    chosen = (f"input.manifest={manifest}", f"output.path={folder}/out", "explain.batch_size=3",
              "run.max_failure_rate=1", "overlays.policy=none", *settings)  # fmt: skip
    assert launch.run("run", *(part for one in chosen for part in ("--set", one))) == code, launch.log
    line = json.loads(launch.log.splitlines()[-1])
    return json.loads(Path(line["summary"]).read_text()) if "summary" in line else line


def rows_of(folder: Path) -> dict[str, dict]:
    rows = pq.read_table(folder / "out" / "statistics").to_pylist()
    by_uri = {"/".join(row["uri"].partition("::")[0].split("/")[-2:]): row for row in rows}
    assert len(by_uri) == len(rows)
    return by_uri


def write_csv(path: Path, lines: Iterable[dict]) -> Path:
    lines = list(lines)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_labels_that_come_later_are_in_the_rows_of_the_night_before(photos, launch, tmp_path):
    names = [f"{photos}/{colour}/{i}.png" for colour in COLOURS for i in range(3)]
    manifest = write_csv(tmp_path / "m.csv", ({"uri": name} for name in names))
    run(launch, tmp_path, manifest)
    first = rows_of(tmp_path)
    assert {row["label_index"] for row in first.values()} == {None}
    labels = ["green" if name.endswith("red/0.png") else name.split("/")[-2] for name in names]
    write_csv(manifest, ({"uri": name, "label": label} for name, label in zip(names, labels, strict=True)))
    summary = run(launch, tmp_path, manifest)
    assert (summary["explained_now"], summary["events"]["corrected_images"]) == (0, 9)
    assert "9 corrected in their rows, 0 explained again" in launch.log
    second = rows_of(tmp_path)
    assert second["red/0.png"] == first["red/0.png"] | {"label_index": 1, "is_correct": False}
    assert second["blue/2.png"] == first["blue/2.png"] | {"label_index": 2, "is_correct": True}
    write_csv(manifest, ({"uri": name, "label": name.split("/")[-2], "targets": "blue" if i == 4 else ""}
                         for i, name in enumerate(names)))  # fmt: skip
    summary = run(launch, tmp_path, manifest)
    assert (summary["explained_now"], summary["events"]["corrected_images"]) == (1, 1)
    third = rows_of(tmp_path)
    assert (third["green/1.png"]["target_name"], third["red/0.png"]["is_correct"]) == ("blue", True)
    assert "corrected_images" not in run(launch, tmp_path, manifest)["events"]


def test_a_line_for_each_box_and_labels_that_contradict_each_other(photos, launch, tmp_path):
    lines = [
        {"uri": f"{photos}/red/0.png", "label": "red", "boxes": "[0, 0, 4, 4]"},
        {"uri": f"{photos}/red/1.png", "label": "blue", "boxes": ""},
        {"uri": f"{photos}/red/0.png", "label": "", "boxes": "[8, 8, 16, 16]"},
        {"uri": f"{photos}/red/1.png", "label": "red", "boxes": "[1, 1, 3, 3]"},
    ]
    manifest = write_csv(tmp_path / "m.csv", lines)
    refused = run(launch, tmp_path, manifest, "input.conflicts=refuse", code=2)
    assert f"1 images have several labels: {photos}/red/1.png is 'blue' and 'red'; correct them" in refused["error"]
    assert "multi is for models of several labels, but the output of this one is classes" in run(
        launch, tmp_path, manifest, "input.conflicts=multi", code=2)["error"]  # fmt: skip
    summary = run(launch, tmp_path, manifest)
    assert (summary["images"], summary["duplicates"], summary["events"]["conflicting_labels"]) == (2, 2, 1)
    assert summary["conflict"] == f"{photos}/red/1.png is 'blue' and 'red'"
    assert "1 images, of which the first line's counts" in launch.log
    rows = rows_of(tmp_path)
    assert rows["red/0.png"]["gt_boxes"] == [0, 0, 4, 4, 8, 8, 16, 16]
    assert rows["red/0.png"]["gt_area"] == pytest.approx((16 + 64) / 256)
    assert [rows[name]["label_index"] for name in ("red/0.png", "red/1.png")] == [0, 2]


@pytest.mark.parametrize(("kind", "boxes"), [("xywh", [4, 4, 8, 2]), ("normalized", [0.25, 0.25, 0.75, 0.375])])
def test_boxes_of_another_kind_are_in_pixels_in_the_table(photos, launch, tmp_path, kind, boxes):
    manifest = write_csv(tmp_path / "m.csv", [{"uri": f"{photos}/red/0.png", "boxes": json.dumps(boxes)}])
    run(launch, tmp_path, manifest, f"input.box_format={kind}")
    assert rows_of(tmp_path)["red/0.png"]["gt_boxes"] == [4, 4, 12, 6]
    assert "corrected_images" not in run(launch, tmp_path, manifest, f"input.box_format={kind}")["events"]


def test_values_of_every_type_are_texts_as_one_writes_them(photos, launch, tmp_path):
    columns = {
        "uri": pa.array([f"{photos}/red/0.png"]),
        "label": pa.array([0.0]),
        "day": pa.array([datetime.date(2024, 5, 1)]),
        "far day": pa.array([10**7], pa.date32()),
        "taken": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        "never": pa.array([253402300800 * 2], pa.timestamp("s")),
        "price": pa.array([decimal.Decimal("1.50")]),
        "clock": pa.array([5], pa.time64("ns")),
        "key": pa.array([bytes(range(16))], pa.uuid()),
        "days": pa.array([[1_700_000_000_123_456_789]], pa.list_(pa.timestamp("ns"))),
        "gap": pa.array([float("nan")]),
        "text": pa.array([b"as bytes"]),
        "status": pa.array(["mine"]),
        "manifest_status": pa.array(["mine too"]),
        "Status": pa.array(["and mine"]),
        "whole": pa.array([7]),
    }
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    run(launch, tmp_path, tmp_path / "m.parquet")
    row = rows_of(tmp_path)["red/0.png"]
    assert (row["status"], row["label_index"], row["is_correct"]) == ("OK", 0, True)
    assert {name: row[name] for name in columns if name not in ("uri", "label", "status", "Status")} == {
        "day": "2024-05-01", "far day": "29349-01-26", "taken": "2023-11-14 22:13:20.123456789",
        "never": "18029-12-31 00:00:00.000", "price": "1.50", "clock": "00:00:00.000000005",
        "key": "00010203-0405-0607-0809-0a0b0c0d0e0f", "days": '["2023-11-14 22:13:20.123456789"]', "gap": None,
        "text": "as bytes", "manifest_status": "mine too", "whole": "7",
    }  # fmt: skip
    given = {row[name] for name in row if name.startswith("manifest_")}
    assert given == {"mine", "mine too", "and mine"}


def test_half_a_surrogate_pair_costs_nothing(photos, launch, tmp_path):
    strange = tmp_path / "\udcff.png"  # the name of a file that is no UTF-8
    strange.write_bytes((photos / "red" / "0.png").read_bytes())
    lines = [
        {"uri": f"{photos}/red/0.png", "label": "\ud800", "site": "a\udfffb", "\ud801": ["\ud802"]},
        {"uri": str(strange), "label": "red"},
        {"uri": f"{photos}/\ud83d/none.png", "label": "red", "targets": ["\ud800"]},
        {"uri": f"{photos}/\ud83d/none.png2", "label": "red"},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run(launch, tmp_path, tmp_path / "m.jsonl")
    rows = rows_of(tmp_path)
    assert rows["red/0.png"]["site"] == "a\\udfffb"
    assert rows["red/0.png"]["\\ud801"] == '["\\ud802"]'
    (of_strange,) = (row for row in rows.values() if row["uri"].endswith("\\udcff.png"))
    assert (of_strange["status"], of_strange["is_correct"]) == ("OK", True)
    assert sorted(row["status"] for row in rows.values()) == ["BAD_TARGET", "FETCH_ERROR", "OK", "OK"]


def test_folders_are_labels_where_they_are_called_as_classes_and_it_is_said(photos, launch, tmp_path):
    summary = run(launch, tmp_path, photos)
    assert "labels are the names of the 3 folders (" in launch.log
    assert summary["images"] == 9
    assert {name: row["is_correct"] for name, row in rows_of(tmp_path).items()} == {
        f"{colour}/{i}.png": True for colour in COLOURS for i in range(3)}  # fmt: skip
    run(launch, tmp_path / "column", photos, "input.labels=column")
    assert {row["label_index"] for row in rows_of(tmp_path / "column").values()} == {None}
    (tmp_path / "list.txt").write_text(f"{photos}/red/0.png\n{photos}/blue/1.png\n")
    run(launch, tmp_path / "list", tmp_path / "list.txt", "input.labels=folder")
    assert sorted(row["label_index"] for row in rows_of(tmp_path / "list").values()) == [0, 2]


def test_folders_that_are_no_classes_are_only_spoken_of(photos, launch, tmp_path):
    for name in ("2024-05", "2024-06"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "a.png").write_bytes((photos / "red" / "0.png").read_bytes())
    run(launch, tmp_path, f"{tmp_path}/in/*/*.png")
    assert (
        "note: the images lie in 2 folders (2024-05, 2024-06) that are not called as the model's classes" in launch.log
    )
    assert {row["label_index"] for row in rows_of(tmp_path).values()} == {None}


def write_many(folder: Path, photos: Path) -> list[str]:
    """Files of several kinds, as Spark and others leave them; every image twice, with different labels."""
    folder.mkdir()
    uris = [f"{photos}/{colour}/{i}.png" for i in range(3) for colour in COLOURS]
    write_csv(folder / "part-0.csv", ({"uri": uri, "label": "red"} for uri in uris[:3]))
    table = pa.table({"uri": uris[3:], "label": ["green"] * 6, "site": list("abcdef")})
    pq.write_table(table, folder / "part-1.snappy.parquet", row_group_size=2)
    pq.write_table(table.slice(0, 0), folder / "part-2.parquet")
    (folder / "part-3.jsonl").write_text("\n".join(json.dumps({"uri": uri, "label": "blue"}) for uri in uris))
    for name in ("_SUCCESS", "._SUCCESS.crc", "_metadata"):
        (folder / name).touch()
    return uris


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_many_files_are_one_manifest_in_the_order_of_their_names(photos, launch, tmp_path, workers):
    uris = write_many(tmp_path / "parts", photos)
    summary = run(launch, tmp_path, tmp_path / "parts", f"run.workers={workers}")
    assert (summary["inputs"], summary["duplicates"], summary["images"]) == (18, 9, 9)
    assert summary["events"]["conflicting_labels"] == 9
    rows = {row["uri"]: row for row in rows_of(tmp_path).values()}
    assert [rows[uri]["label_index"] for uri in uris] == [0] * 3 + [1] * 6  # of the first line, in the order of files
    assert [rows[uri]["site"] for uri in uris] == [None] * 3 + list("abcdef")


def test_a_pattern_of_files_is_a_manifest_too(photos, launch, tmp_path):
    uris = write_many(tmp_path / "parts", photos)
    summary = run(launch, tmp_path, f"{tmp_path}/parts/*.parquet", "input.limit=5")
    rows = {row["uri"]: row for row in rows_of(tmp_path).values()}
    assert (summary["inputs"], summary["duplicates"]) == (5, 0)
    assert {uri: row["site"] for uri, row in rows.items()} == dict(zip(uris[3:8], "abcde", strict=True))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_class_folders_is_explained_where_it_lies(photos, launch, tmp_path, kind):
    shutil.make_archive(str(tmp_path / "photos"), kind, photos)
    run(launch, tmp_path, f"{kind}://::{tmp_path}/photos.{kind}")
    rows = rows_of(tmp_path)
    assert len(rows) == 9
    for row in rows.values():
        assert (row["status"], row["is_correct"], row["uri"].startswith(f"{kind}://")) == ("OK", True, True)
        with fsspec.open(row["uri"]) as file:
            assert hashlib.sha256(file.read()).hexdigest() == row["content_sha256"]


class _Bucket(http.server.BaseHTTPRequestHandler):
    """Serves a file to whoever has the signature, as a presigned URL does."""

    content, secret = b"", ""

    def do_GET(self):
        self.send_response(200 if self.secret in self.path else 403)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def do_HEAD(self):  # a URL that is signed for GET answers nothing else
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_signed_manifest_is_never_shown_with_its_signature(photos, launch, tmp_path):
    secret = secrets.token_hex(20)
    _Bucket.content, _Bucket.secret = f"uri\nfile://{photos}/red/0.png\n".encode(), secret
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/m.csv?X-Amz-Credential={secret}&X-Amz-Signature={secret}"
        summary = run(launch, tmp_path, url, "input.allowed_schemes=[http, file]")
        assert summary["images"] == 1
        said = launch.log
        _Bucket.content = b"uri\n,\n"
        run(launch, tmp_path, url, "input.allowed_schemes=[http, file]", code=2)
    finally:
        server.shutdown()
    for text in (said, launch.log, *(path.read_text() for path in (tmp_path / "out" / "runs").rglob("*.*"))):
        assert secret not in text
    assert "m.csv?X-Amz-Credential=***&X-Amz-Signature=***" in said
    assert "m.csv?X-Amz-Credential=***&X-Amz-Signature=***, line 2: 2 cells where the header has 1" in launch.log


def test_a_mistake_that_only_a_worker_finds_is_one_of_the_manifest(photos, launch, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    names = [f"{photos}/red/0.png"] * 400
    pq.write_table(pa.table({"uri": names}), folder / "0.parquet")
    pq.write_table(pa.table({"uri": [*names, None]}), folder / "1.parquet")
    error = run(launch, tmp_path, folder, code=2)["error"]
    assert error == f"{folder}/1.parquet, line 401: the line has no URI; write one or remove the line"
    pq.write_table(pa.table({"uri": names}), folder / "1.parquet")
    assert run(launch, tmp_path, folder)["images"] == 1
