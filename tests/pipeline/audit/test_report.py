import dataclasses
import json
import re
import shutil

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from example_runs import PER_CLASS, examples
from old_parts import as_version_2
from synthetic import Example, blob, write_run

from pipeline.audit.analysis.galleries import find_galleries
from pipeline.audit.inputs.table import open_table
from pipeline.audit.report import write_report
from pipeline.runs.record import NoRunError, find_run, run_at
from transforms.storage.storage import Storage

STORAGE = Storage()


def report_of(folder) -> tuple[str, list[dict]]:
    page = write_report(run_at(str(folder), STORAGE), STORAGE)
    return open(page).read(), json.loads((folder / "report" / "findings.json").read_text())


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    made = examples(corner=True)
    made.append(dataclasses.replace(made[0], name="<script>alert(1)<b>lost", is_missing=True))
    made.append(dataclasses.replace(made[2], name="zero", cam=-blob(0.5, 0.5)))
    return write_run(folder / "out", "r1", made, {"mark": (0.0, 0.0, 0.2, 0.2)}, extra_columns=("site",))


@pytest.fixture(scope="module")
def page_and_findings(planted):
    return report_of(planted)


def test_the_class_that_looks_at_a_corner_is_flagged_and_no_other(page_and_findings):
    _, findings = page_and_findings
    (found,) = [finding for finding in findings if finding["kind"] == "class"]
    assert found["numbers"]["name"] == "cat"
    assert {found["numbers"]["measure"], *found["numbers"]["also"]} == {"corner_tl", "border_lift", "region_mark"}


def test_the_same_without_the_corner_is_not_flagged(tmp_path):
    _, findings = report_of(write_run(tmp_path / "out", "r1", examples(corner=False), extra_columns=("site",)))
    assert [finding for finding in findings if finding["kind"] == "class"] == []


def test_the_class_table_has_the_means_of_the_rows(planted, page_and_findings):
    classes = {row["name"]: row for row in pq.read_table(planted / "report" / "classes.parquet").to_pylist()}
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{planted}/../../statistics/run=r1/*.parquet')").to_arrow_table()
    cats = [row for row in rows.to_pylist() if row["target_name"] == "cat"]
    assert classes["cat"]["rows"] == len(cats) == PER_CLASS
    assert classes["cat"]["border_lift_mean"] == pytest.approx(np.mean([row["border_lift"] for row in cats]))
    assert classes["cat"]["corner_tl_mean"] == pytest.approx(np.mean([row["corner_mass_tl"] * 49 / 4 for row in cats]))
    assert classes["cat"]["precision"] == pytest.approx(np.mean([row["is_correct"] for row in cats]))
    labelled = [row for row in rows.to_pylist() if row["label_index"] == 0]
    assert classes["cat"]["recall"] == pytest.approx(
        np.mean([row["is_correct"] for row in labelled if row["predicted_index"] is not None])
    )
    assert classes["rocket"]["zero_maps"] == 1
    assert classes["cat"]["border_lift_low"] < classes["cat"]["border_lift_mean"] < classes["cat"]["border_lift_high"]


def test_maps_that_do_not_carry_the_score_are_told_from_those_that_do(tmp_path):
    made = examples(corner=False, per_class=6)
    made[3] = dataclasses.replace(made[3], kept=0.2, removed=0.9)  # a cat whose probability stays without the map
    run = run_at(str(write_run(tmp_path / "out", "r1", made)), STORAGE)
    with open_table({"statistics": run}, STORAGE) as table:
        gallery = next(gallery for gallery in find_galleries(table) if gallery.rule.name == "unfaithful")
    assert gallery.total == 18
    assert "p003" in gallery.rows[0]["uri"]
    assert [row["measure"] for row in gallery.rows[:2]] == pytest.approx([0.1, 0.75])
    write_report(run, STORAGE)
    classes = {row["name"]: row for row in pq.read_table(f"{run.files.folder}/report/classes.parquet").to_pylist()}
    assert classes["cup"]["average_drop_mean"] == pytest.approx(0.25)
    assert classes["cup"]["removal_drop_mean"] == pytest.approx(0.75)
    assert classes["cat"]["average_drop_mean"] == pytest.approx((5 * 0.25 + 0.8) / 6)
    assert classes["cat"]["removal_drop_mean"] == pytest.approx((5 * 0.75 + 0.1) / 6)


def test_rows_of_an_earlier_version_are_read_without_the_columns_that_they_lack(tmp_path):
    folder = write_run(tmp_path / "out", "r1", examples(corner=False, per_class=4))
    (part,) = (tmp_path / "out" / "statistics" / "run=r1").iterdir()
    pq.write_table(
        pq.read_table(part, partitioning=None).drop_columns(["feature_keep_drop", "feature_remove_drop"]), part
    )
    page, _ = report_of(folder)
    assert "Border lovers" in page
    assert "carry least of the score" not in page


def test_the_page_stands_alone_and_shows_every_picture(planted, page_and_findings):
    page, _ = page_and_findings
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    assert not re.search(r"<link|@import|<script[^>]+src|url\(", page.replace("url(#", ""))
    pictures = set(re.findall(r'src="(images/[^"]+)"', page))
    assert len(pictures) > 20
    assert all((planted / "report" / picture).stat().st_size > 1000 for picture in pictures)


def test_hostile_names_are_text(page_and_findings):
    page, _ = page_and_findings
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_failures_and_zero_maps_are_told(page_and_findings):
    page, findings = page_and_findings
    assert any("1 of 74 images failed; the most common cause is FETCH_ERROR" in finding["text"] for finding in findings)
    assert "lost.jpg" in page
    assert "Zero maps" in page


def test_a_run_without_any_map_still_has_a_page(tmp_path):
    lost = Example("lost", blob(0.5, 0.5), (1, 0, 0), is_missing=True)
    page, findings = report_of(write_run(tmp_path / "out", "r1", [lost]))
    assert "lost.jpg" in page
    assert [finding["kind"] for finding in findings] == ["health"]


def test_a_picture_that_cannot_be_made_any_more_says_why(tmp_path):
    folder = write_run(tmp_path / "out", "r1", examples(corner=False, per_class=4), extra_columns=("site",))
    for photo in (tmp_path / "photos").iterdir():
        photo.unlink()
    page, _ = report_of(folder)
    assert "No overlay:" in page
    assert "p000.jpg" in page


def test_null_is_none_in_a_column_of_texts(tmp_path):
    made = [dataclasses.replace(each, extra=(None if n else "north",)) for n, each in enumerate(examples(False)[:2])]
    folder = write_run(tmp_path / "out", "r1", made, extra_columns=("site",))
    with open_table({"statistics": run_at(str(folder), STORAGE)}, STORAGE) as table:
        assert sorted(map(str, table.arrays("SELECT site FROM statistics")["site"])) == ["None", "north"]


def test_regions_can_be_declared_after_the_fact(tmp_path):
    made = examples(corner=True, per_class=5)
    box = (0.05, 0.1, 0.33, 0.2)
    declared = write_run(tmp_path / "out", "declared", made, {"mark": box})
    later = write_run(tmp_path / "out", "later", made)
    lifts = []
    for folder, regions in ((declared, {}), (later, {"mark": box})):
        with open_table({"statistics": run_at(str(folder), STORAGE)}, STORAGE, regions) as table:
            lifts.append(table.arrays("SELECT region_mark_lift AS lift FROM statistics ORDER BY image_id")["lift"])
    assert len(lifts[0]) == 15
    np.testing.assert_allclose(lifts[0], lifts[1], rtol=1e-5)


def test_nothing_but_the_rows_can_be_reached_by_sql(planted):
    with open_table({"statistics": run_at(str(planted), STORAGE)}, STORAGE) as table:
        for sql in (
            "SELECT * FROM read_text('/etc/hostname')",
            "COPY statistics TO '/tmp/stolen.csv'",
            "INSTALL httpfs",
            "ATTACH '/tmp/other.duckdb'",
            "SET enable_external_access = true",
            "SELECT * FROM examples",
        ):
            with pytest.raises(duckdb.Error):
                table.database.execute(sql)  # fmt: skip


def test_images_that_an_earlier_run_explained_count_as_rows_of_the_run(tmp_path):
    made = examples(corner=False, per_class=4)
    write_run(tmp_path / "out", "r1", made[:8])
    folder = write_run(tmp_path / "out", "r2", made[6:])
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | {"done_before": 6, "images": 12, "lines": 12}))
    with open_table({"statistics": run_at(str(folder), STORAGE)}, STORAGE) as table:
        rows = table.records("SELECT run_id, count(*) AS n FROM statistics GROUP BY run_id ORDER BY run_id")
        assert rows == [{"run_id": "r1", "n": 6}, {"run_id": "r2", "n": 6}]


def test_runs_are_found_and_missing_ones_named(planted):
    output = str(planted.parent.parent)
    assert find_run(output, None, STORAGE).run_id == "r1"
    with pytest.raises(NoRunError, match="no run 'r9'; it has: r1"):
        find_run(output, "r9", STORAGE)
    with pytest.raises(NoRunError, match="holds no run"):
        find_run(output + "/nowhere", None, STORAGE)
    with pytest.raises(NoRunError, match="write OUTPUT/runs/RUN_ID"):
        run_at(output, STORAGE)


def test_channels_whose_weight_could_not_be_computed_are_said(tmp_path):
    folder = write_run(tmp_path / "out", "r1", examples(corner=False, per_class=2), events={"guarded_channels": 1234})
    page, findings = report_of(folder)
    (found,) = [finding for finding in findings if "guarded_channels" in finding["numbers"]]
    assert found["numbers"] == {"guarded_channels": 1234}
    assert found["text"].startswith("The method could not compute the weight of 1,234 channels")
    assert "guarded channels 1234" in page


def test_a_table_with_parts_of_an_earlier_version_is_read_as_one(tmp_path):
    folder = write_run(tmp_path / "out", "r1", examples(corner=False, per_class=2))
    run = run_at(str(folder), STORAGE)
    with open_table({"statistics": run}, STORAGE) as table:
        (new,) = table.records("SELECT count(*) AS rows, sum(list_sum(cam)) AS mass FROM statistics")
    (part, *_) = (tmp_path / "out").glob("statistics/*/*.parquet")
    as_version_2(str(part))
    shutil.copy(part, part.with_name("part-00009-more.parquet"))
    with open_table({"statistics": run}, STORAGE) as table:
        (mixed,) = table.records("SELECT count(*) AS rows, sum(list_sum(cam)) AS mass FROM statistics")
    assert mixed["rows"] == 2 * new["rows"]
    assert mixed["mass"] == pytest.approx(2 * new["mass"], rel=1e-3)
