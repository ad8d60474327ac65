import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from example_runs import examples
from synthetic import Example, blob, write_run

from pipeline.audit.inputs.table import open_table
from pipeline.audit.overview.accuracy import measure_accuracy, share_interval
from pipeline.audit.overview.class_rows import best_and_worst
from pipeline.audit.overview.pixels import trust_in_pixels
from pipeline.audit.report import write_report
from pipeline.runs.record import run_at
from transforms.model.check.table import PixelCheck, PixelRow
from transforms.storage.storage import Storage

STORAGE = Storage()
NAMES = {0: "cat", 1: "cup", 2: "rocket"}


def table_of(folder):
    return open_table({"statistics": run_at(str(folder), STORAGE)}, STORAGE)


def photos(right: dict[str, int], wrong: dict[str, int]) -> list[Example]:
    """So many photos of each class that are predicted as labelled, and so many that are not."""
    made = []
    for counts, shift in ((right, 0), (wrong, 1)):
        for name, count in counts.items():
            scores = np.roll((3.0, 0.0, 0.0), list(NAMES.values()).index(name) + shift)
            for _ in range(count):
                made.append(Example(f"p{len(made)}", blob(0.5, 0.5), tuple(scores), label=name))
    return made


def test_the_accuracy_is_the_share_of_labelled_images_with_wilsons_interval(tmp_path):
    made = photos({"cat": 6, "cup": 1}, {"cup": 2})
    made.append(dataclasses.replace(made[0], name="unlabelled", label=None))
    made.append(dataclasses.replace(made[0], name="lost", is_missing=True))
    with table_of(write_run(tmp_path / "out", "r1", made)) as table:
        found = measure_accuracy(table)
    assert (found.right, found.images, found.share) == (7, 9, 7 / 9)
    z, p, n = 1.959964, 7 / 9, 9
    middle, reach = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.interval == pytest.approx(((middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)))


def test_the_best_class_is_the_one_that_is_surely_good_and_wrong_photos_of_the_worst_come_first(tmp_path):
    made = photos({"cat": 9, "cup": 5, "rocket": 2}, {"cat": 1, "rocket": 4})
    with table_of(write_run(tmp_path / "out", "r1", made)) as table:
        found = best_and_worst(table, NAMES)
    assert share_interval(9, 10)[0] > share_interval(5, 5)[0]  # ten photos say more than five
    assert [(row.name, row.images, row.share) for row in found.best] == [("cat", 10, 0.9), ("cup", 5, 1.0)]
    assert [(row.name, row.images) for row in found.worst] == [("rocket", 6)]
    assert [row["is_correct"] for row in found.worst[0].rows] == [False] * 4 + [True]
    assert found.fewest == 5
    assert found.has_labels


def test_without_labels_the_surest_and_the_least_sure_classes_are_shown(tmp_path):
    made = [dataclasses.replace(example, label=None) for example in photos({"cat": 5, "cup": 5}, {})]
    made = [dataclasses.replace(each, scores=(9.0, 0.0, 0.0)) if each.scores[0] else each for each in made]
    with table_of(write_run(tmp_path / "out", "r1", made)) as table:
        assert measure_accuracy(table) is None
        found = best_and_worst(table, NAMES)
    assert not found.has_labels
    assert ([row.name for row in found.best], [row.name for row in found.worst]) == (["cat"], ["cup"])
    assert found.worst[0].share == pytest.approx(np.exp(3) / (np.exp(3) + 2), rel=1e-5)


def test_classes_of_few_images_are_shown_where_there_are_no_others(tmp_path):
    with table_of(write_run(tmp_path / "out", "r1", examples(corner=False, per_class=2))) as table:
        found = best_and_worst(table, NAMES)
    assert 1 <= found.fewest < 5
    assert found.best


def check(evidence: str, taken: dict, other: dict, **counts) -> dict:
    common = {"scale": (1.0,), "offset": (0.0,), "bgr": False, "accuracy": None, "confidence": 0.8, "spread": 2.0,
              "mutual_information": 2.0, "same_class": 1.0, "wins": 0, "losses": 0,
              "p_value": None, "agreement": None}  # fmt: skip
    rows = (PixelRow(name="torch", **common | taken), PixelRow(name="caffe", **common | other))
    counted = {"images": 64, "labelled": 0, "expected": 0, "referenced": 0} | counts
    made = PixelCheck(fingerprint="f", evidence=evidence, seen="seen", rows=rows, seconds=1.0, **counted)
    return json.loads(made.encode())


WORSE = {"accuracy": 0.1, "losses": 40, "p_value": 1e-12}
BETTER = {"accuracy": 0.9, "wins": 40, "p_value": 1e-12}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (None, "not checked"),
        ({"rows": []}, "not checked"),
        ({"rows": [], "another": "version"}, "not checked"),
        (check("contract", {"accuracy": 0.8}, WORSE, labelled=64), "sure"),
        (check("contract", {"accuracy": 0.8}, WORSE, labelled=8), "likely"),
        (check("contract", {}, {}), "likely"),
        (check("open", {"accuracy": 0.8}, WORSE, labelled=64), "likely"),
        (check("open", {}, {}), "in doubt"),
        (check("said", {"accuracy": 0.1}, BETTER, labelled=64), "in doubt"),
        (check("said", {"agreement": 1.0}, {}, expected=64), "sure"),
        (check("said", {"agreement": 0.5}, {}, expected=64), "in doubt"),
    ],
)
def test_how_sure_we_are_of_the_pixels(found, verdict):
    assert trust_in_pixels(found, 0.98).verdict == verdict


def test_a_check_of_an_earlier_version_is_shown_as_far_as_it_goes(tmp_path):
    folder = write_run(tmp_path / "out", "r1", examples(corner=False, per_class=2))
    summary = json.loads((folder / "summary.json").read_text())
    early = check("contract", {"accuracy": 0.8}, WORSE, labelled=64)
    del early["are_values"]
    for row in early["rows"]:
        del row["error"]
    (folder / "summary.json").write_text(json.dumps(summary | {"check": early}))
    page = Path(write_report(run_at(str(folder), STORAGE), STORAGE)).read_text()
    assert "The model was given <b>torch</b>" in page
    (folder / "summary.json").write_text(json.dumps(summary | {"check": {"rows": [{"accuracy": "<script>"}]}}))
    page = Path(write_report(run_at(str(folder), STORAGE), STORAGE)).read_text()
    assert "the check is of another version" in page


def test_a_doubt_says_what_speaks_against_the_pixels():
    told = trust_in_pixels(check("said", {"accuracy": 0.1}, BETTER, labelled=64), 0.98)
    assert "by 64 labels caffe is better: 90.0 % right against 10.0 %" in told.why
    assert not told.why.endswith(("Say", " "))
