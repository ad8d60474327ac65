import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from example_runs import examples
from scipy import stats
from synthetic import blob, write_run

from pipeline.audit.compare import write_comparison
from pipeline.audit.errors import AuditError
from pipeline.audit.inputs.measures import list_measures
from pipeline.audit.inputs.table import open_table
from pipeline.audit.report import write_report
from pipeline.audit.slices.condition import checked_condition
from pipeline.audit.slices.measure import audit_slices
from pipeline.audit.slices.spec import split_images
from pipeline.config.read import load_config
from pipeline.config.schema import Compare, ConfigError
from pipeline.runs.record import run_at
from transforms.storage.storage import Storage

STORAGE = Storage()
COLUMNS = ("site", "camera")
GRID = (7, 7)


def photos(wrong_in_north: int, per_class: int = 20) -> list:
    """Of 3 per_class photos every second is of site north; the first of them are labelled wrong, the others right."""
    made, wrong = [], 0
    for number, example in enumerate(examples(corner=False, per_class=per_class)):
        site, camera = ("north", "south")[number % 2], ("a", "b", None)[number % 5 % 3]
        label = ("cat", "cup", "rocket")[number % 3]
        if site == "north" and wrong < wrong_in_north:
            label, wrong = ("cup", "rocket", "cat")[number % 3], wrong + 1
        cam = blob(0.05, 0.5) if camera == "a" else example.cam
        made.append(dataclasses.replace(example, label=label, cam=cam, extra=(site, camera)))
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("slices") / "out", "r1", photos(18), extra_columns=COLUMNS)


@pytest.fixture(scope="module")
def table(run):
    with open_table({"statistics": run_at(str(run), STORAGE)}, STORAGE) as opened:
        yield opened


def test_a_column_has_a_slice_for_each_value_and_none_for_null(table):
    split = split_images(table, "camera")
    rows = table.records("SELECT camera FROM statistics ORDER BY image_id")
    assert split.names == ("camera = a", "camera = b")
    assert [None if group < 0 else "ab"[group] for group in split.groups] == [row["camera"] for row in rows]


def test_numbers_are_cut_into_quarters(table):
    split = split_images(table, "brightness")
    values = table.arrays("SELECT brightness AS v FROM statistics ORDER BY image_id")["v"]
    assert len(split.names) == 4
    assert np.bincount(split.groups).tolist() == [15] * 4
    assert max(values[split.groups == 0]) <= min(values[split.groups == 1])


def test_columns_and_conditions_are_crossed(table):
    split = split_images(table, ["site", "brightness < 0.4"])
    rows = table.records("SELECT site, brightness FROM statistics ORDER BY image_id")
    said = {True: "brightness < 0.4", False: "not (brightness < 0.4)"}
    expected = [f"site = {row['site']}, {said[row['brightness'] < 0.4]}" for row in rows]
    assert [split.names[group] for group in split.groups] == expected
    assert set(split.names) == set(expected)


@pytest.mark.parametrize(
    "condition",
    ["width < 400", "site = 'north' AND NOT camera IS NULL", "camera IN ('a', 'b')", "lower(site) LIKE 'n%'",
     "brightness BETWEEN 0.1 AND 0.5 OR width * height > 1e6", "contains(uri, 'p0')",
     "CAST(width AS DOUBLE) / height > 1",
     "site = 'a -- b'", "\"site\" = 'x;y'"],
)  # fmt: skip
def test_conditions_over_the_columns_are_taken(table, condition):
    checked_condition(condition, table)
    assert set(split_images(table, condition).groups.tolist()) <= {-1, 0, 1}


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("width < (SELECT 3)", "subquery"),
        ("uri IN (SELECT uri FROM statistics)", "subquery"),
        ("read_text('/etc/passwd') = ''", "read_text"),
        ("getenv('HOME') = ''", "getenv"),
        ("current_setting('temp_directory') = ''", "current_setting"),
        ("sum(width) > 1", "sum"),
        ("row_number() OVER () > 3", "row_number"),
        ("width = $limit", "parameter"),
        ("width < 400; DROP TABLE statistics", "no SQL condition"),
        ("width < 400) FROM statistics WHERE (width > 1", "no SQL condition"),
        ("width), (height", "not one condition"),
        ("COLUMNS(*) > 1", "star"),
        ("list_filter(cam, lambda x: x > 1) IS NULL", "list_filter"),
        ("widht < 400", "did you mean width"),
        ("statistics.width < 400", "no column"),
        ("width <", "no SQL condition"),
    ],
)
def test_anything_else_is_refused_before_it_is_executed(table, condition, why):
    with pytest.raises(AuditError, match=re.escape(why)):
        split_images(table, condition)


def test_a_condition_that_does_not_fit_the_types_is_a_refusal(table):
    with pytest.raises(AuditError, match=r"audit\.slices: .*north"):
        split_images(table, "width < 'north'")


def test_slices_are_measured_against_all_other_images(table):
    measures = list_measures(table)
    (audit,) = audit_slices(table, ["camera"], measures, GRID)
    rows = table.records("SELECT camera, border_lift AS lift, is_correct, cam FROM statistics ORDER BY image_id")
    place = next(number for number, measure in enumerate(audit.measures) if measure.name == "border_lift")
    own = [row["lift"] for row in rows if row["camera"] == "a"]
    others = [row["lift"] for row in rows if row["camera"] != "a"]  # those without a camera, too
    assert audit.images[0] == len(own)
    assert (audit.means.mean[0, place], audit.rest[0, place]) == pytest.approx(
        (np.mean(own), np.mean(others)), rel=1e-5
    )
    wins = sum(np.sign(a - b) for a in own for b in others)
    assert audit.delta[0, place] == pytest.approx(wins / (len(own) * len(others)), abs=1e-6)
    raw = stats.mannwhitneyu(own, others, method="asymptotic").pvalue
    tests = int((~np.isnan(audit.p_values)).sum())
    assert raw <= audit.p_values[0, place] <= raw * tests * (1 + 1e-9)
    assert audit.measures[0].name == "right"
    assert audit.means.mean[1, 0] == pytest.approx(np.mean([row["is_correct"] for row in rows if row["camera"] == "b"]))
    maps = [np.reshape(row["cam"], GRID) for row in rows if row["camera"] == "a"]
    np.testing.assert_allclose(audit.maps[0], np.mean([49 * cam / cam.sum() for cam in maps], axis=0), rtol=1e-4)


def test_the_report_shows_slices_and_says_in_a_sentence_which_is_worse(run):
    page = Path(write_report(run_at(str(run), STORAGE), STORAGE, slices=["site", "camera"])).read_text()
    findings = json.loads((run / "report" / "findings.json").read_text())
    told = {found["numbers"].get("slice"): found for found in findings if found["kind"] == "slice"}
    assert told["site = north"]["text"] == (
        "On 30 of 60 photos, those with site = north, 40% of the predictions are right, on the others 100%."
    )
    assert told["site = north"]["strength"] == pytest.approx(0.6)
    assert "site = south" not in told  # where it is the others that are worse
    assert told["camera = a"]["text"].startswith("On 24 of 60 photos, those with camera = a, the model looks at ")
    assert '<section id="slices">' in page
    rows = pq.read_table(run / "report" / "slices.parquet").to_pylist()
    (right,) = [row for row in rows if (row["slice"], row["measure"]) == ("site = north", "right")]
    assert (right["images"], right["mean"], right["rest"]) == (30, pytest.approx(0.4), 1.0)


def test_conditions_of_a_runs_own_config_are_never_executed(run):
    config = run / "config.yaml"
    kept = config.read_text()
    tree = yaml.safe_load(kept)
    tree["audit"]["slices"] = ["site", "width < 400"]
    config.write_text(yaml.safe_dump(tree))
    try:
        page = Path(write_report(run_at(str(run), STORAGE), STORAGE)).read_text()
    finally:
        config.write_text(kept)
    assert "site = north" in page
    assert "width &lt; 400: the run&#39;s config asks for this slice by a condition" in page
    assert "not (width" not in page


def test_a_slice_that_gets_worse_closes_the_gate(tmp_path):
    before = write_run(tmp_path / "out", "r1", photos(2), extra_columns=COLUMNS)
    after = write_run(tmp_path / "out", "r2", photos(16), extra_columns=COLUMNS)
    runs = [run_at(str(folder), STORAGE) for folder in (before, after)]

    def reasons(gate: dict, slices: tuple = ("site",)) -> list[str]:
        return write_comparison(*runs, Compare(**gate), STORAGE, slices)["reasons"]

    (reason,) = reasons({"max_slice_accuracy_drop": 0.03})
    assert reason == (
        "compare.max_slice_accuracy_drop: site = north: the share that is right falls by 0.4667 over 30 images, more "
        "than 0.03"
    )
    assert reasons({"max_slice_accuracy_drop": 0.5}) == []
    (reason,) = reasons({"max_slice_ratio": {"border_lift": 1.2}}, ("camera",))
    assert reason.startswith("compare.max_slice_ratio: camera = a: border_lift is ")
    assert reasons({"max_slice_ratio": {"border_lift": 50}}, ("camera",)) == []
    assert "nothing to measure" in reasons({"max_slice_accuracy_drop": 0.03}, ())[0]
    with pytest.raises(AuditError, match="'borders' is no measure"):
        reasons({"max_slice_ratio": {"borders": 1.2}})


def test_a_drop_without_any_label_closes_the_gate(tmp_path):
    bare = [dataclasses.replace(example, label=None) for example in photos(0, 4)]
    folders = [write_run(tmp_path / "out", name, bare, extra_columns=COLUMNS) for name in ("r1", "r2")]
    runs = [run_at(str(folder), STORAGE) for folder in folders]
    found = write_comparison(*runs, Compare(max_slice_accuracy_drop=0.03), STORAGE, ["site"])
    assert found["reasons"] == [
        "compare.max_slice_accuracy_drop: nothing to measure: no image of both runs has a label"
    ]


@pytest.mark.parametrize("slices", ["site", "[[a, b, c, d]]", "[[]]", "[3]", "['']"])
def test_slices_that_are_none_are_refused_by_the_config(slices):
    with pytest.raises(ConfigError, match=r"audit\.slices"):
        load_config(None, [f"audit.slices={slices}"])
