"""Ground-truth masks in a manifest, through a whole run."""

import csv
import json

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from colour_models import NAMES, colour_classifier, write_pictures
from rich.console import Console

from pipeline.config.schema import Config, ConfigError
from pipeline.launch.run import launch

BOX = (2, 4, 11, 14)
COLUMNS = ("gt_status", "gt_area", "gt_mass", "gt_lift", "point_hit", "point_hit_15px", "center_hit", "box_iou",
           "mask_iou_15", "mask_iou_30", "mask_iou_50")  # fmt: skip


def in_box() -> np.ndarray:
    mask = np.zeros((16, 16), np.uint8)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return mask


def rle() -> str:
    flat = (in_box() > 0).T.ravel()
    cuts = np.flatnonzero(np.diff(flat)) + 1
    return json.dumps({"size": [16, 16], "counts": np.diff([0, *cuts.tolist(), flat.size]).tolist()})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "box.png"), in_box())
    cv2.imwrite(str(tmp_path / "masks" / "small.png"), in_box()[:8])
    cv2.imwrite(str(tmp_path / "masks" / "nothing.png"), np.zeros((16, 16), np.uint8))
    colour_classifier().save(tmp_path / "model.keras")
    return tmp_path


def rows_of(folder, cells: list[str], column: str = "masks", roots: tuple = (), code: int = 0) -> dict[str, dict]:
    """Run over the first pictures, each with one of the cells in a column; rows by the cell."""
    with open(write_pictures(folder), newline="") as file:
        uris = [line["uri"] for line in csv.DictReader(file)][: len(cells)]
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([("uri", column), *zip(uris, cells, strict=True)])
    config = Config.model_validate(
        {
            "input": {"manifest": str(folder / "manifest.csv"), "columns": {column: column},
                      "allowed_roots": list(roots)},
            "model": {"source": str(folder / "model.keras"), "class_names": list(NAMES), "check": 0,
                      "preprocessing": "minus_one_to_one"},
            "overlays": {"policy": "none"},
            "output": {"path": str(folder / f"out-{column}")},
        }
    )  # fmt: skip
    assert launch(config, [], Console(quiet=True)) == code
    rows = {row["uri"]: row for row in pq.read_table(folder / f"out-{column}" / "statistics").to_pylist()}
    return {uri: rows[uri] for uri in uris}


def test_masks_have_the_numbers_of_the_same_boxes(folder):
    by_mask = rows_of(folder, ["masks/box.png", rle(), str(folder / "masks" / "box.png")])
    by_box = rows_of(folder, [json.dumps([BOX])] * 3, "boxes")
    assert by_mask.keys() == by_box.keys()
    for uri, row in by_mask.items():
        assert row["gt_status"] == "OK"
        assert row["gt_area"] == pytest.approx(90 / 256)
        for name in COLUMNS[1:]:
            assert row[name] == pytest.approx(by_box[uri][name], abs=1e-6), name
    assert next(iter(by_mask.values()))["masks"] == "masks/box.png"


def test_an_empty_cell_says_nothing_and_a_mask_without_a_pixel_that_there_is_nothing(folder):
    rows = list(rows_of(folder, ["", "masks/nothing.png"]).values())
    assert [(row["status"], row["gt_status"]) for row in rows] == [("OK", None), ("OK", "NONE")]


def test_a_mask_that_cannot_be_used_costs_its_own_image(folder):
    cells = ["masks/box.png", "masks/small.png", "masks/lost.png", '{"size": [16, 16], "counts": [3]}', "[["]
    rows = list(rows_of(folder, cells, code=1).values())
    assert [row["status"] for row in rows] == ["OK", "BAD_INPUT", "FETCH_ERROR", "BAD_INPUT", "BAD_INPUT"]
    assert "8 x 16 pixels, the image 16 x 16" in rows[1]["error_message"]
    assert rows[2]["error_message"].startswith("mask masks/lost.png: ")
    assert "add up to 3" in rows[3]["error_message"]


def test_masks_come_through_the_doors_of_the_images(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "box.png"
    cv2.imwrite(str(elsewhere), in_box())
    cells = ["masks/box.png", str(elsewhere), "../elsewhere/box.png", "http://127.0.0.1:9/box.png"]
    rows = list(rows_of(folder, cells, roots=(str(folder),), code=1).values())
    assert [row["status"] for row in rows] == ["OK", *["FETCH_ERROR"] * 3]
    assert all("input.allowed_roots" in row["error_message"] for row in rows[1:])


def test_a_column_that_has_another_meaning_is_refused(folder):
    (folder / "manifest.csv").write_text("uri,boxes\nblack-0.png,\n")
    config = Config.model_validate(
        {
            "input": {"manifest": str(folder / "manifest.csv"), "columns": {"masks": "boxes"}},
            "model": {"source": str(folder / "model.keras"), "check": 0, "preprocessing": "minus_one_to_one"},
            "output": {"path": str(folder / "out")},
        }
    )
    with pytest.raises(ConfigError, match=r"input\.columns\.masks: 'boxes' is no column of its own"):
        launch(config, [], Console(quiet=True))


def test_masks_of_a_manifest_of_many_files_lie_beside_the_file_that_names_them(folder):
    whole = rows_of(folder, ["masks/box.png", "masks/nothing.png"])
    with open(folder / "manifest.csv", newline="") as file:
        lines = list(csv.reader(file))
    for number, (uri, cell) in enumerate(lines[1:]):
        part = folder / "parts" / f"{number}"
        part.mkdir(parents=True)
        (part / f"{cell.replace('/', '-')}").write_bytes((folder / cell).read_bytes())
        (part / uri.rpartition("/")[2]).write_bytes((folder / uri).read_bytes())
        with open(part / "part.csv", "w", newline="") as file:
            csv.writer(file).writerows([lines[0], (uri.rpartition("/")[2], cell.replace("/", "-"))])
    config = Config.model_validate(
        {
            "input": {"manifest": str(folder / "parts" / "*" / "*.csv"), "columns": {"masks": "masks"}},
            "model": {"source": str(folder / "model.keras"), "class_names": list(NAMES), "check": 0,
                      "preprocessing": "minus_one_to_one"},
            "overlays": {"policy": "none"},
            "output": {"path": str(folder / "out-parts")},
        }
    )  # fmt: skip
    assert launch(config, [], Console(quiet=True)) == 0
    rows = pq.read_table(folder / "out-parts" / "statistics").sort_by("uri").to_pylist()
    assert [[row[name] for name in COLUMNS] for row in rows] == [
        [row[name] for name in COLUMNS] for row in whole.values()]  # fmt: skip
    assert [row["masks"] for row in rows] == [
        f"{folder}/parts/0/masks-box.png", f"{folder}/parts/1/masks-nothing.png"]  # fmt: skip


def test_another_mask_of_a_done_image_has_it_explained_again_and_no_other(folder):
    cv2.imwrite(str(folder / "masks" / "all.png"), np.full((16, 16), 255, np.uint8))
    before = rows_of(folder, ["masks/box.png", "", rle(), "masks/box.png"])
    cells = ["masks/all.png", "", rle(), "masks/nothing.png"]
    after = list(rows_of(folder, cells).values())
    assert [row["gt_status"] for row in after] == ["FULL", None, "OK", "NONE"]
    assert after[0]["gt_area"] == 1.0
    assert [row["masks"] for row in after] == cells
    kept = [row for row in after if before[row["uri"]] == row]
    assert kept == [after[1], after[2]]
    assert [row["run_id"] == before[row["uri"]]["run_id"] for row in after] == [False, True, True, False]
