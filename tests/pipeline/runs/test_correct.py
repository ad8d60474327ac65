"""Labels, boxes and further columns that the manifest has corrected since, in rows that are there already."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_runs import examples
from synthetic import AUDIT_CARD, Example, blob, write_run

from pipeline.runs.correct import correct_images
from transforms.explain.corrections import Knowledge
from transforms.explain.settings import ExplainSettings
from transforms.manifest.manifest import Manifest
from transforms.storage.storage import Storage
from transforms.table.lease import LeaseLostError
from transforms.table.location import TableLocation
from transforms.table.parts import list_parts
from transforms.table.schema import statistics_schema
from transforms.targets import TargetPolicy

STORAGE = Storage()
GROUND_TRUTH = [name for name in statistics_schema().names
                if name.startswith(("gt_", "point_", "center_hit", "box_iou", "mask_"))]  # fmt: skip
ALL = Knowledge(labels=True, boxes=True, targets=True)


def write_manifest(folder: Path, found: list[Example], columns=("uri", "label", "boxes", "site"), **targets: str):
    with open(folder / "m.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, *(["targets"] if targets else [])], extrasaction="ignore")
        writer.writeheader()
        for one in found:
            boxes = "" if one.boxes is None else json.dumps(one.boxes)
            line = {
                "uri": f"photos/{one.name}.jpg",
                "label": one.label,
                "boxes": boxes,
                "targets": targets.get(one.name),
            }
            writer.writerow(line | ({"site": one.extra[0]} if one.extra else {}))
    return Manifest(str(folder / "m.csv"), extra_columns=("site",) if "site" in columns else ())


def settings(output: Path, extra=("site",), targets="predicted") -> ExplainSettings:
    return ExplainSettings(
        table=TableLocation(str(output), "r2", AUDIT_CARD.fingerprint, targets),
        schema=statistics_schema((), extra),
        targets=TargetPolicy.parse(targets),
        extra_columns=extra,
    )


def correct(output: Path, manifest: Manifest, knowledge=ALL, check=lambda: None, **how):
    parts = list(list_parts(f"{output}/statistics", STORAGE))
    return correct_images(parts, manifest, knowledge, AUDIT_CARD, settings(output, **how), STORAGE, check)


def rows_of(output: Path) -> dict[str, dict]:
    rows = pq.read_table(output / "statistics").to_pylist()
    return {Path(row["uri"]).stem: row for row in sorted(rows, key=lambda row: row["uri"])}


def assert_same(found: dict[str, dict], wanted: dict[str, dict]) -> None:
    """Equal, but for what depends on the map, which is stored rounded."""
    assert found.keys() == wanted.keys()
    for name, row in found.items():
        for column, value in wanted[name].items():
            if column in GROUND_TRUTH and isinstance(value, float):
                assert row[column] == pytest.approx(value, abs=2e-3), (name, column)
            elif column not in ("overlay_uri", "uri", "image_id"):
                assert row[column] == value, (name, column)


def without_knowledge(found: list[Example]) -> list[Example]:
    return [dataclasses.replace(one, label=None, boxes=None, extra=()) for one in found]


@pytest.fixture
def found():
    several = examples(corner=True, per_class=4)
    several += [
        Example("zero", np.full((7, 7), -1, np.float32), (1, 0, 0), label="cup", boxes=((1.0, 2.0, 90.0, 80.0),)),
        Example("flat", np.ones((7, 7), np.float32), (1, 0, 0), label="cat", boxes=()),
        Example("nothing", blob(0.5, 0.5), (0, 1, 0), label="no such class", boxes=None, extra=(None,)),
    ]
    return [dataclasses.replace(one, extra=one.extra or ("east",)) for one in several]


def test_labels_boxes_and_columns_that_were_added_later_are_those_of_a_run_that_knew_them(tmp_path, found):
    write_run(tmp_path / "out", "r1", without_knowledge(found))
    write_run(tmp_path / "wanted", "r1", found, extra_columns=("site",))
    manifest = write_manifest(tmp_path, found)
    wanted, before = rows_of(tmp_path / "wanted"), rows_of(tmp_path / "out")
    assert all(row["label_index"] is None and row["gt_status"] is None for row in before.values())
    corrected = correct(tmp_path / "out", manifest)
    assert (corrected.corrected, corrected.asked_again) == (len(found), 0)
    for row in wanted.values():
        row["site"] = row["site"] or ""  # as a cell of a CSV is
    assert_same(rows_of(tmp_path / "out"), wanted)
    part = next(iter(list_parts(f"{tmp_path}/out/statistics", STORAGE)))
    seen = Path(part).stat().st_mtime_ns
    again = correct(tmp_path / "out", manifest)
    assert (again.corrected, again.asked_again, Path(part).stat().st_mtime_ns) == (0, 0, seen)


def test_one_label_and_one_box_are_corrected_and_no_other_row_changes(tmp_path, found):
    write_run(tmp_path / "out", "r1", found, extra_columns=("site",))
    before = rows_of(tmp_path / "out")
    moved = ((10.0, 20.0, 60.0, 70.5), (0.0, 0.0, 5.0, 5.0))
    changed = {0: {"label": "rocket"}, 1: {"boxes": moved}, 2: {"boxes": ()}, 3: {"label": None, "boxes": None}}
    new = [dataclasses.replace(one, **changed.get(i, {})) for i, one in enumerate(found)]
    write_run(tmp_path / "wanted", "r1", new, extra_columns=("site",))
    corrected = correct(tmp_path / "out", write_manifest(tmp_path, new))
    assert corrected.corrected == 5  # and the empty cell of "nothing", which is NULL before
    after, wanted = rows_of(tmp_path / "out"), rows_of(tmp_path / "wanted")
    names = {new[i].name for i in changed}
    assert {name for name in after if after[name] != before[name]} == names | {"nothing"}
    assert_same({name: after[name] for name in names}, {name: wanted[name] for name in names})
    assert after[new[1].name]["gt_boxes"] == [10, 20, 60, 70.5, 0, 0, 5, 5]


def test_what_the_manifest_has_no_column_for_stays(tmp_path, found):
    write_run(tmp_path / "out", "r1", found, extra_columns=("site",))
    before = rows_of(tmp_path / "out")
    bare = write_manifest(tmp_path, found, ("uri",))
    assert correct(tmp_path / "out", bare, Knowledge(False, False, False), extra=()).corrected == 0
    labels = write_manifest(tmp_path, [dataclasses.replace(found[0], label="rocket")], ("uri", "label"))
    assert correct(tmp_path / "out", labels, Knowledge(True, False, False), extra=()).corrected == 1
    after = rows_of(tmp_path / "out")
    name = found[0].name
    assert after[name] == before[name] | {"label_index": 2, "is_correct": before[name]["predicted_index"] == 2}
    assert {other: row for other, row in after.items() if other != name} == {
        other: row for other, row in before.items() if other != name}  # fmt: skip


def test_a_line_for_each_box_is_what_rows_of_all_boxes_say(tmp_path, found):
    two = ((1.0, 2.0, 90.0, 80.0), (100.0, 90.0, 150.0, 130.0))
    whole = [dataclasses.replace(one, boxes=two) for one in found]
    write_run(tmp_path / "out", "r1", whole, extra_columns=("site",))
    before = rows_of(tmp_path / "out")
    lines = [dataclasses.replace(one, boxes=(box,)) for box in two for one in whole if one.name != "nothing"]
    assert correct(tmp_path / "out", write_manifest(tmp_path, lines)).corrected == 0
    assert rows_of(tmp_path / "out") == before
    assert correct(tmp_path / "out", write_manifest(tmp_path, lines[:-1])).corrected == 1
    assert rows_of(tmp_path / "out")[lines[-1].name]["gt_boxes"] == list(two[0])


def test_images_that_are_asked_for_other_classes_lose_their_rows_and_no_others(tmp_path, found):
    write_run(tmp_path / "out", "r1", found, extra_columns=("site",))
    name = found[1].name
    corrected = correct(tmp_path / "out", write_manifest(tmp_path, found, **{name: "rocket;cat"}))
    assert (corrected.asked_again, len(corrected.parts)) == (1, 1)
    assert rows_of(tmp_path / "out").keys() == {one.name for one in found} - {name}


def test_rows_of_earlier_versions_learn_of_which_boxes_they_are_and_only_a_moved_box_counts(tmp_path, found):
    write_run(tmp_path / "out", "r1", found, extra_columns=("site",))
    (part,) = list_parts(f"{tmp_path}/out/statistics", STORAGE)
    table = pq.read_table(part, partitioning=None)
    pq.write_table(table.drop_columns(["gt_boxes"]), part)  # with the footer of the part in its metadata
    manifest = write_manifest(tmp_path, [one for one in found if one.name != "nothing"])
    before = rows_of(tmp_path / "out")
    assert correct(tmp_path / "out", manifest).corrected == 0
    after = rows_of(tmp_path / "out")
    assert after["zero"] == before["zero"] | {"gt_boxes": [1, 2, 90, 80]}
    new = [dataclasses.replace(one, boxes=((30.0, 30.0, 60.0, 60.0),)) for one in found[:1]]
    pq.write_table(table.drop_columns(["gt_boxes"]), part)
    assert correct(tmp_path / "out", write_manifest(tmp_path, new)).corrected == 1
    assert rows_of(tmp_path / "out")[new[0].name]["gt_area"] == pytest.approx(900 / (160 * 200), rel=1e-6)


def test_who_has_lost_the_lease_writes_nothing(tmp_path, found):
    write_run(tmp_path / "out", "r1", without_knowledge(found))
    before = rows_of(tmp_path / "out")

    def lost() -> None:
        raise LeaseLostError("another launcher has taken over")

    with pytest.raises(LeaseLostError):
        correct(tmp_path / "out", write_manifest(tmp_path, found), check=lost)
    assert rows_of(tmp_path / "out") == before


def test_rows_of_another_model_stay(tmp_path, found):
    write_run(tmp_path / "out", "r1", without_knowledge(found), fingerprint="e" * 16)
    before = rows_of(tmp_path / "out")
    assert correct(tmp_path / "out", write_manifest(tmp_path, found)).corrected == 0
    assert rows_of(tmp_path / "out") == before


def test_a_peak_that_the_stored_map_shares_by_rounding_is_still_one(tmp_path):
    cam = blob(0.5, 0.5)
    cam[0, 0] = np.nextafter(np.float32(cam.max()), np.float32(0))  # equal to the peak in few digits
    one = Example("twin", cam, (1, 0, 0), boxes=((0.0, 0.0, 25.0, 20.0),))
    write_run(tmp_path / "wanted", "r1", [one])
    write_run(tmp_path / "out", "r1", [dataclasses.replace(one, boxes=None)])
    assert rows_of(tmp_path / "wanted")["twin"]["point_hit"] == 0
    correct(tmp_path / "out", write_manifest(tmp_path, [one], ("uri", "boxes")), extra=())
    assert rows_of(tmp_path / "out")["twin"]["point_hit"] == 0
    assert isinstance(pq.read_table(tmp_path / "out" / "statistics"), pa.Table)
