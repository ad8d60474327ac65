import dataclasses
import json
import re

import numpy as np
import pytest
from example_runs import examples
from synthetic import blob, write_run

from pipeline.audit.analysis.classes import audit_classes
from pipeline.audit.analysis.clusters import Cluster
from pipeline.audit.findings.finding import Finding, rank
from pipeline.audit.findings.of_classes import cliffs_delta
from pipeline.audit.findings.of_clusters import cluster_findings
from pipeline.audit.inputs.measures import list_measures
from pipeline.audit.inputs.table import open_table
from pipeline.audit.report import write_report
from pipeline.runs.record import run_at
from transforms.storage.storage import Storage

STORAGE = Storage()


def report_of(folder) -> tuple[str, list[dict]]:
    page = write_report(run_at(str(folder), STORAGE), STORAGE)
    return open(page).read(), json.loads((folder / "report" / "findings.json").read_text())


def rows_of(folder, columns: str) -> list[dict]:
    with open_table({"statistics": run_at(str(folder), STORAGE)}, STORAGE) as table:
        return table.records(f"SELECT {columns} FROM statistics ORDER BY image_id")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("planted") / "out", "r1", examples(corner=True), extra_columns=("site",))
    return folder, *report_of(folder)


def test_a_class_is_told_by_its_photos_and_those_of_the_others(planted):
    folder, page, findings = planted
    (found,) = [finding for finding in findings if finding["kind"] == "class"]
    rows = rows_of(folder, "target_name, corner_mass_tl * 49 / 4 AS lift")
    own = [row["lift"] for row in rows if row["target_name"] == "cat"]
    others = [row["lift"] for row in rows if row["target_name"] != "cat"]
    usual = np.quantile(others, 0.95)
    numbers = found["numbers"]
    assert numbers["measure"] == "corner_tl"
    assert numbers["above"] == found["images"] == sum(lift > usual for lift in own) == 24
    assert (numbers["mean"], numbers["rest"]) == pytest.approx((np.mean(own), np.mean(others)), rel=1e-5)
    wins = sum((a > b) - (a < b) for a in own for b in others)
    assert found["strength"] == pytest.approx(wins / (len(own) * len(others)), abs=1e-4)
    assert found["text"] == (
        "On 24 of 24 photos of cat the model looks at the top left corner more than on 95 % of the photos of other "
        f"classes: {np.mean(own):.1f} times uniform on average, others {np.mean(others):.1f}."
    )
    assert found["text"] in page
    assert found["caveat"] in page


def test_a_group_of_maps_that_are_almost_the_same_is_told_with_what_is_usual(planted):
    folder, *_ = planted
    usual = Cluster(1, 19, 19 / 24, 0.3, 0.8, np.ones((7, 7)), ("a",), ("a",), 0.25)
    small = Cluster(1, 5, 5 / 24, 0.1, 0.9, np.ones((7, 7)), ("b",), ("b", "c"), 0.25, is_candidate=True)
    with open_table({"statistics": run_at(str(folder), STORAGE)}, STORAGE) as table:
        (found,) = cluster_findings([[usual, small]], audit_classes(table, list_measures(table)))
    assert found.text == (
        "On 5 of 24 photos of cup the model looks at almost the same place, and is at least as sure (90%, other photos "
        "of the class 80%): the maps are 0.10 apart, those of usual groups of a class 0.25."
    )
    assert (found.images, found.strength) == (5, pytest.approx(0.6))
    assert found.rows.parameters == {"class": 1, "members": ["b", "c"]}


def test_the_gravest_finding_comes_first_and_there_are_at_most_ten():
    some = [Finding("class", str(n), {}, images=n, strength=1 / n if n % 2 else 1.0) for n in range(1, 15)]
    ranked = rank(some)
    assert [found.text for found in ranked[:7]] == ["14", "12", "10", "8", "6", "4", "2"]
    assert len(ranked) == 10
    assert {found.images * found.strength for found in ranked[7:]} == {1.0}


def test_cliffs_delta_is_that_of_a_double_loop_also_with_ties():
    rng = np.random.default_rng(1)
    own, others = np.round(rng.normal(0.4, 1, 30), 1), np.round(rng.normal(size=50), 1)
    slow = np.mean([np.sign(a - b) for a in own for b in others])
    assert cliffs_delta(own, others) == pytest.approx(slow)


def test_each_finding_has_three_overlays_beside_it_and_a_page_with_all(planted):
    folder, page, findings = planted
    told = [finding for finding in findings if finding["page"]]
    assert told
    for finding in told:
        own = (folder / "report" / finding["page"]).read_text()
        assert finding["text"] in own
        uris = re.findall(r"<li><code>([^<]+)</code></li>", own)
        assert len(uris) == len(set(uris)) == finding["images"]
        pictures = re.findall(r'img src="(images/[^"]+)"', own)
        assert len(pictures) == min(finding["images"], 24)
        beside = page.partition(finding["text"])[2].partition("</li>")[0]
        shown = re.findall(r'img src="(images/[^"]+)"', beside)
        assert shown == pictures[:3]
        assert all((folder / "report" / picture).stat().st_size > 1000 for picture in pictures)
        assert f'href="{finding["page"]}"' in beside


def test_a_property_of_the_photos_is_told_against_what_its_classes_have_as_a_rule(tmp_path):
    """Photos of the site north: the model looks further down, whatever the class."""
    made, rng = [], np.random.default_rng(4)
    for number, example in enumerate(examples(corner=False, per_class=20)):
        site = "north" if number // 3 % 4 == 0 else "south"
        x, y = rng.uniform(0.3, 0.7, 2)
        cam = blob(x, 0.75 * y + 0.4 if site == "north" else 0.75 * y + 0.1)
        made.append(dataclasses.replace(example, cam=cam, boxes=None, extra=(site,)))
    folder = write_run(tmp_path / "out", "r1", made, extra_columns=("site",))
    _, findings = report_of(folder)
    (found,) = [finding for finding in findings if finding["numbers"].get("covariate") == "site"]
    rows = rows_of(folder, "target_name, site, centroid_y AS y")
    of_class = {
        name: np.mean([row["y"] for row in rows if row["target_name"] == name]) for name in ("cat", "cup", "rocket")
    }
    north = [row for row in rows if row["site"] == "north"]
    mean, usual = np.mean([row["y"] for row in north]), np.mean([of_class[row["target_name"]] for row in north])
    assert found["numbers"]["look"] == "down"
    assert found["text"] == (
        f"On 15 of 60 photos, those whose site is north, the model looks further down than it usually does on the same "
        f"classes: {mean:.2f} of the height on average, usually {usual:.2f}."
    )
    assert found["images"] == len(north) == 15


def test_a_difference_that_nobody_would_see_is_no_finding_however_significant(tmp_path):
    """Maps of the site north lie by one part in a hundred of the height further down, without any noise."""
    made = []
    for number, example in enumerate(examples(corner=False, per_class=20)):
        site = "north" if number // 3 % 4 == 0 else "south"
        made.append(
            dataclasses.replace(example, cam=blob(0.5, 0.5 + 0.01 * (site == "north")), extra=(site,), boxes=None)
        )
    folder = write_run(tmp_path / "out", "r1", made, extra_columns=("site",))
    _, findings = report_of(folder)
    sites = {row["site"]: row["y"] for row in rows_of(folder, "site, centroid_y AS y")}
    assert 0.004 < sites["north"] - sites["south"] < 0.03
    assert [finding for finding in findings if finding["numbers"].get("covariate") == "site"] == []


def test_where_nothing_stands_out_the_page_says_what_would_have_been_seen(tmp_path):
    page, findings = report_of(write_run(tmp_path / "out", "r1", examples(corner=False), extra_columns=("site",)))
    assert findings == []
    assert "Nothing stands out" in page
    assert re.search(r"A class of 24 photos on \d+ of which the model looks at the top left corner as only 1 %", page)
    assert re.search(
        r"A property of the photos whose rank correlation with where the model looks is 0\.\d\d or more", page
    )


def test_a_report_that_is_made_again_leaves_no_page_of_a_finding_that_is_gone(tmp_path):
    folder = write_run(tmp_path / "out", "r1", examples(corner=False, per_class=4))
    (folder / "report").mkdir()
    (folder / "report" / "finding-7.html").write_text("of yesterday")
    report_of(folder)
    assert not (folder / "report" / "finding-7.html").exists()
