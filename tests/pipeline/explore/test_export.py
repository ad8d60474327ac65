"""Exports, read back as the program reads them for which they are made."""

import base64
import csv
import dataclasses
import io
import json
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pytest
from explored import session_of, write_two_runs
from synthetic import AUDIT_CARD
from tampering import change_part, parts_of, with_column

from pipeline.explore.errors import ExploreError
from pipeline.explore.export.formats import export_view
from pipeline.explore.view import read_view
from transforms.manifest.read import Manifest, read_manifest
from transforms.manifest.survey import survey_manifest
from transforms.overlays.render import heatmap_over
from transforms.storage.storage import Storage

STORAGE = Storage()
NAMES = ["cat", "cup", "rocket"]


def exported(session, kind, **asked):
    return b"".join(export_view(session, read_view(asked, session.columns), kind).chunks)


def lines(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_csv_has_every_column_but_the_map_of_the_rows_that_are_shown(session, rows):
    found = lines(exported(session, "csv", filters=[{"column": "site", "is": ["north"]}], sort="entropy"))
    wanted = sorted((row for row in rows if row["site"] == "north"), key=lambda row: (row["entropy"], row["image_id"]))
    assert [line["image_id"] for line in found] == [row["image_id"] for row in wanted]
    assert set(found[0]) == {*rows[0]} - {"cam"}
    for line, row in zip(found, wanted, strict=True):
        assert float(line["entropy"]) == row["entropy"]
        assert (line["is_correct"], line["error_type"]) == (str(row["is_correct"]).lower(), "")


def test_a_manifest_brings_the_same_images_labels_and_columns_to_the_next_run(session, rows, tmp_path):
    path = tmp_path / "next.csv"
    path.write_bytes(exported(session, "manifest", sql="target_index = 0"))
    assert survey_manifest(Manifest(str(path)), STORAGE).extra_columns == ("site", "tags")
    refs = list(read_manifest(Manifest(str(path), extra_columns=("site",)), STORAGE))
    wanted = {row["image_id"]: row for row in rows if row["target_index"] == 0}
    assert {ref.image_id for ref in refs} == wanted.keys()
    for ref in refs:
        row = wanted[ref.image_id]
        assert ref.uri == row["uri"]
        assert AUDIT_CARD.classes.index_of(ref.label) == row["label_index"]
        assert ref.extra == (row["site"],)


@pytest.mark.parametrize(("names", "label"), [(("cup", "cup", "3"), "1"), (("a", "b", "c"), "b"), (None, "1")])
def test_a_label_is_written_so_that_it_is_read_as_the_same_class(session, names, label):
    card = dataclasses.replace(session.card, class_names=names)
    found = lines(exported(dataclasses.replace(session, card=card), "manifest", sql="label_index = 1"))
    assert {line["label"] for line in found} == {label}


def test_coco_boxes_are_those_of_the_table(session, rows):
    found = json.loads(exported(session, "coco"))
    assert [category["name"] for category in found["categories"]] == NAMES
    by_number = {image["id"]: image for image in found["images"]}
    wanted = {row["image_id"]: row for row in rows}
    assert {image["image_id"] for image in found["images"]} == wanted.keys()
    assert len(found["annotations"]) == len(rows)
    for box in found["annotations"]:
        row = wanted[by_number[box["image_id"]]["image_id"]]
        x, y, width, height = box["bbox"]
        assert (x, y, x + width, y + height) == (row["box_x0"], row["box_y0"], row["box_x1"], row["box_y1"])
        assert (box["category_id"], box["area"]) == (row["target_index"], width * height)


def test_yolo_boxes_are_the_same_in_shares_of_the_photo(session, rows):
    archive = zipfile.ZipFile(io.BytesIO(exported(session, "yolo")))
    assert {*archive.namelist()} == {"images.csv", "data.yaml", *(f"labels/{row['image_id']}.txt" for row in rows)}
    row = rows[5]
    kind, *numbers = archive.read(f"labels/{row['image_id']}.txt").decode().split()
    x, y, width, height = map(float, numbers)
    assert int(kind) == row["target_index"]
    box = [row["box_x0"] / 200, row["box_y0"] / 160, row["box_x1"] / 200, row["box_y1"] / 160]
    assert [x - width / 2, y - height / 2, x + width / 2, y + height / 2] == pytest.approx(box, abs=2e-6)
    assert archive.read("data.yaml").decode() == 'names:\n  0: "cat"\n  1: "cup"\n  2: "rocket"\n'
    images = {line["image_id"]: line["uri"] for line in lines(archive.read("images.csv"))}
    assert images == {row["image_id"]: row["uri"] for row in rows}


def test_fiftyone_finds_labels_maps_and_measures(session, rows):
    found = json.loads(exported(session, "fiftyone"))
    fields = found["sample_fields"]
    assert fields["heatmap"] == "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.Heatmap)"
    assert fields["border_lift"] == "fiftyone.core.fields.FloatField"
    wanted = {row["uri"]: row for row in rows}
    assert {sample["filepath"] for sample in found["samples"]} == wanted.keys()
    for sample in found["samples"]:
        row = wanted[sample["filepath"]]
        assert sample["prediction"]["label"] == row["predicted_name"]
        assert sample["ground_truth"]["label"] == NAMES[row["label_index"]]
        assert (sample["border_lift"], sample["site"]) == (row["border_lift"], row["site"])
        assert {*sample} - {"filepath", "tags"} == {*fields}
        # As fiftyone.core.utils.deserialize_numpy_array reads it.
        heat = np.load(io.BytesIO(zlib.decompress(base64.b64decode(sample["heatmap"]["map"]))))
        cam = np.array(row["cam"], np.float32).reshape(7, 7)
        assert np.array_equal(heat, heatmap_over(cam, AUDIT_CARD.place(200, 160), 51, 64)[2])
        (box,) = sample["map_boxes"]["detections"]
        assert box["bounding_box"][0] == row["box_x0"] / 200


def test_lightly_finds_predictions_and_metadata(session, rows):
    archive = zipfile.ZipFile(io.BytesIO(exported(session, "lightly")))
    assert json.loads(archive.read("predictions/tasks.json")) == ["beam_gradcam"]
    schema = json.loads(archive.read("predictions/beam_gradcam/schema.json"))
    assert schema["categories"][2] == {"id": 2, "name": "rocket"}
    for row in rows:
        of_image = json.loads(archive.read(f"predictions/beam_gradcam/{row['image_id']}.json"))
        assert of_image["file_name"] == row["uri"]
        assert of_image["predictions"][0]["category_id"] == row["target_index"]
        metadata = json.loads(archive.read(f"metadata/{row['image_id']}.json"))["metadata"]
        assert metadata["entropy"] == row["entropy"]
    described = {each["name"]: each["valueDataType"] for each in json.loads(archive.read("metadata/schema.json"))}
    assert (described["entropy"], described["site"]) == ("NUMERIC_FLOAT", "CATEGORICAL_STRING")


def test_cleanlab_needs_all_probabilities_and_says_how_to_get_them(session):
    with pytest.raises(ExploreError, match=r"each of the 3 classes.*rows of 1: explain with explain\.targets=top_k:3"):
        exported(session, "cleanlab")
    with pytest.raises(ExploreError, match="needs labels"):
        exported(session, "cleanlab", sql="label_index IS NULL")


def test_cleanlab_gets_labels_and_probabilities_where_all_classes_were_explained(tmp_path):
    write_two_runs(tmp_path / "out", per_class=2)
    probabilities = {0: 0.5, 1: 0.3, 2: 0.2}

    def every_class(table):
        copies = []
        for target, probability in probabilities.items():
            copy = with_column("target_index", [target])(table)
            copies.append(with_column("target_probability", [probability])(copy))
        return pa.concat_tables(copies)

    for part in parts_of(tmp_path / "out"):
        change_part(part, every_class)
    with session_of(tmp_path / "out") as session, np.load(io.BytesIO(exported(session, "cleanlab"))) as found:
        assert found["pred_probs"].shape == (6, 3)
        assert np.array_equal(found["pred_probs"], np.tile(np.float32([0.5, 0.3, 0.2]), (6, 1)))
        labels = session.records("SELECT image_id, any_value(label_index) AS label FROM statistics GROUP BY image_id")
        assert dict(zip(found["image_ids"].tolist(), found["labels"].tolist(), strict=True)) == {
            row["image_id"]: row["label"] for row in labels
        }


def test_names_of_strangers_are_data_in_every_format(tmp_path):
    write_two_runs(tmp_path / "out", per_class=1)
    hostile = '=cmd|"/c calc"!A1,\n<script>\u202e"; DROP TABLE x; --'
    for part in parts_of(tmp_path / "out"):
        change_part(part, with_column("uri", [f"/x/{hostile}/../../etc/passwd"]))
        change_part(part, with_column("site", [hostile]))
    with session_of(tmp_path / "out") as session:
        assert lines(exported(session, "csv"))[0]["site"] == hostile
        assert json.loads(exported(session, "fiftyone"))["samples"][0]["site"] == hostile
        for kind in ("yolo", "lightly"):
            names = zipfile.ZipFile(io.BytesIO(exported(session, kind))).namelist()
            assert not [name for name in names if ".." in name or name.startswith("/")]


def test_a_format_that_there_is_not_is_refused(session):
    with pytest.raises(ExploreError, match="there is no format 'exe'; write one of manifest, csv, coco"):
        exported(session, "exe")
