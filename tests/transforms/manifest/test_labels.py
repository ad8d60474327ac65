"""Labels of every form, and what all of a manifest's labels together look like."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.manifest.cells import parse_flags, parse_label
from transforms.manifest.label_kinds import LabelTally
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.read import read_manifest
from transforms.manifest.survey import survey_manifest
from transforms.storage.storage import Storage

STORAGE = Storage()


@pytest.mark.parametrize(
    ("cell", "label", "labels"),
    [
        ("cat", "cat", None),
        (" cat ", "cat", None),
        ("cat;grass", "cat;grass", ("cat", "grass")),
        ("cat; grass;", "cat; grass;", ("cat", "grass")),
        ('["cat", "grass"]', "cat;grass", ("cat", "grass")),
        ("[3, 17]", "3;17", ("3", "17")),
        ("[0.5, -2]", "0.5;-2", ("0.5", "-2")),
        ("[unknown]", "[unknown]", None),
        ("[]", None, ()),
        ([], None, ()),
        (["cat"], "cat", ("cat",)),
        ([1.0, 2.0], "1;2", ("1", "2")),
        (34.5, "34.5", None),
        (34.0, "34", None),
        (float("nan"), None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_a_cell_tells_one_label_several_or_none(cell, label, labels):
    assert parse_label(cell) == (label, labels)


def test_flags_are_the_names_of_the_columns_that_say_yes():
    cells = {"cat": "1", "dog": 0, "grass": True, "sky": 1.0, "sea": None, "sand": "0.0"}
    assert parse_flags(cells) == ("cat", "grass", "sky")
    with pytest.raises(ValueError, match=r"'0\.7' in column cat is no flag; write 1 where"):
        parse_flags({"cat": "0.7"})


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([None, ""], "none"),
        (["0", "1", "1"], "zero_one"),
        ([0, 7, 3], "indices"),
        (["7", "cat"], "names"),
        (["34.5", "28"], "numbers"),
        ([-3, 5], "numbers"),
        ([34.5, float("nan"), 20.0], "numbers"),
        (["cat", "cat;grass"], "several"),
        (["[]", "cat"], "several"),
        (["1.5;2", "0;-1"], "lists_of_numbers"),
    ],
)
def test_labels_are_told_by_what_they_all_look_like(cells, kind):
    tally = LabelTally()
    for cell in cells:
        tally.see(*parse_label(cell))
    assert tally.kind == kind


def test_a_manifest_of_one_hot_columns(tmp_path):
    path = tmp_path / "photos.csv"
    path.write_text("uri,cat,dog,site\na.jpg,1,1,north\nb.jpg,0,0,south\nc.jpg,0,1,south\n")
    manifest = Manifest(str(path), label_columns=("cat", "dog"), required_columns=frozenset({"uri", "cat", "dog"}))
    survey = survey_manifest(manifest, STORAGE)
    assert (survey.labels, survey.extra_columns) == ("several", ("site",))
    refs = list(read_manifest(manifest, STORAGE))
    assert [(ref.label, ref.labels) for ref in refs] == [(None, ("cat", "dog")), (None, ()), ("dog", ("dog",))]
    path.write_text("uri,cat,dog\na.jpg,0.4,1\n")
    with pytest.raises(ManifestError, match=r"photos.csv, line 2: '0\.4' in column cat is no flag"):
        survey_manifest(manifest, STORAGE)


def test_lists_in_parquet_and_in_json_lines_are_read_alike(tmp_path):
    lines = [("a.jpg", ["cat", "grass"]), ("b.jpg", []), ("c.jpg", None)]
    columns = {"uri": [uri for uri, _ in lines], "label": [label for _, label in lines]}
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps({"uri": u, "label": label}) for u, label in lines))
    for name in ("m.parquet", "m.jsonl"):
        refs = list(read_manifest(Manifest(str(tmp_path / name)), STORAGE))
        assert [ref.labels for ref in refs] == [("cat", "grass"), (), None]
