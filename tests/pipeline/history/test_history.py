import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from example_runs import examples
from scipy import stats
from synthetic import Example, blob, write_run

from pipeline.history.nights import class_drift, read_nights
from pipeline.history.page import write_history
from pipeline.runs.record import NoRunError
from transforms.storage.storage import Storage

STORAGE = Storage()


@pytest.fixture
def output(tmp_path):
    """Two nights: as usual; two photos gone, and nothing but cats."""
    first = examples(corner=False, per_class=12)
    cats = [
        dataclasses.replace(each, name=f"n{number}", scores=(3.0, 0.0, 0.0), cam=blob(0.1, 0.1))
        for number, each in enumerate(first)
    ]
    lost = [Example(f"lost{number}", blob(0.5, 0.5), (1, 0, 0), is_missing=True) for number in range(2)]
    for run_id, made, started in (("a", first, "2026-11-24"), ("b", [*cats, *lost], "2026-11-25")):
        folder = write_run(tmp_path / "out", run_id, made)
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(record | {"started": f"{started}T01:00:00+00:00"}))
    return tmp_path / "out"


def test_each_night_is_told_by_its_own_images(output):
    before, after = read_nights(str(output), STORAGE)
    assert (before.run_id, before.images, before.failures) == ("a", 36, {})
    assert (after.run_id, after.images, after.failures) == ("b", 38, {"FETCH_ERROR": 2})
    assert before.classes == {0: 12, 1: 12, 2: 12}
    assert after.classes == {0: 36}
    assert (after.labelled, after.right) == (36, sum(each.label == "cat" for each in examples(False, per_class=12)))
    assert after.accuracy == after.right / 36
    np.testing.assert_allclose(after.mean_map, blob(0.1, 0.1) / blob(0.1, 0.1).sum(), rtol=1e-4)
    assert np.isnan(before.class_drift)
    p, q = np.array([1, 1, 1]) / 3, np.array([1.0, 0, 0])
    middle = (p + q) / 2
    divergence = sum(0.5 * d[d > 0] @ np.log2(d[d > 0] / middle[d > 0]) for d in (p, q))
    assert after.class_drift == pytest.approx(np.sqrt(divergence))
    assert after.class_drift_p == pytest.approx(stats.chi2_contingency([[12, 12, 12], [36, 0, 0]], correction=False)[1])
    assert after.map_drift > 0.3


def test_rare_classes_count_together_and_equal_nights_have_no_distance():
    distance, p = class_drift(Counter({1: 50, 2: 50}), Counter({1: 50, 2: 50}))
    assert (distance, p) == (0, pytest.approx(1))
    before, after = (
        Counter({0: 90, **dict.fromkeys(range(1, 11), 1)}),
        Counter({0: 90, **dict.fromkeys(range(11, 21), 1)}),
    )
    distance, p = class_drift(before, after)
    assert distance > 0.2
    assert p == pytest.approx(1)  # 10 of 100 are rare in both
    assert np.isnan(class_drift(Counter(), after)).all()


def test_the_page_has_a_line_for_each_run_the_newest_first(output):
    uri = write_history(str(output), STORAGE)
    assert uri == f"{output}/history/index.html"
    page = Path(uri).read_text()
    assert re.findall(r"report/index\.html\">(\w)</a>", page) == ["b", "a"]
    assert "<th>FETCH_ERROR</th>" in page
    assert page.count('<svg class="figure"') >= 5
    told = json.loads((output / "history" / "history.json").read_text())
    assert [(night["run_id"], night["images"]) for night in told] == [("a", 36), ("b", 38)]
    assert told[0]["class_drift"] is None
    assert told[1]["failures"] == {"FETCH_ERROR": 2}


def test_only_the_last_runs_are_shown(output):
    assert [night.run_id for night in read_nights(str(output), STORAGE, 1)] == ["b"]


def test_an_output_without_a_run_is_refused(tmp_path):
    with pytest.raises(NoRunError):
        write_history(str(tmp_path), STORAGE)
