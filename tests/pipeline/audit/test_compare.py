import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from example_runs import examples
from synthetic import Example, blob, write_run

from pipeline.audit.compare import write_comparison
from pipeline.audit.errors import AuditError
from pipeline.config.schema import Compare
from pipeline.runs.record import run_at
from transforms.storage.storage import Storage

STORAGE = Storage()


def moved(example: Example) -> Example:
    """The same image with its map in the bottom right corner."""
    return dataclasses.replace(example, cam=blob(0.93, 0.93))


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two outputs: in the second night the maps of cats moved, and images changed, came, went or broke."""
    folder = tmp_path_factory.mktemp("nights")
    first = examples(corner=False, per_class=8)
    second = [moved(example) if number % 3 == 0 else example for number, example in enumerate(first)]
    second[1] = dataclasses.replace(second[1], scores=(0.0, 0.0, 5.0))  # cup becomes rocket
    second[2] = dataclasses.replace(second[2], is_missing=True)
    gone = dataclasses.replace(first[4], name="gone")
    new = dataclasses.replace(first[5], name="new")
    broken = dataclasses.replace(first[6], name="broken", is_missing=True)
    before = write_run(folder / "one", "r1", [*first, gone, broken])
    (folder / "photos" / "p002.jpg").unlink()
    after = write_run(folder / "two", "r2", [*second, new, broken], fingerprint="e" * 16)
    return run_at(str(before), STORAGE), run_at(str(after), STORAGE)


@pytest.fixture(scope="module")
def summary(nights):
    return write_comparison(*nights, Compare(), STORAGE)


def test_every_image_has_its_fate(summary):
    assert summary["images"] == {
        "both": 23, "changed": 1, "new": 1, "gone": 1, "newly_failing": 1, "recovered": 0, "still_failing": 1
    }  # fmt: skip
    assert summary["pairs"] == 22  # the image that changed its class has no map of the same class any more
    assert summary["reasons"] == []


def test_pairs_have_the_numbers_of_their_rows(nights, summary):
    before, after = nights
    pairs = pq.read_table(f"{after.files.folder}/compare/r1/pairs.parquet").to_pylist()
    rows = [
        {row["image_id"]: row for row in pq.read_table(f"{run.output}/statistics/run={run.run_id}").to_pylist()}
        for run in (before, after)
    ]
    assert len(pairs) == 22
    for pair in pairs:
        old, new = rows[0][pair["image_id"]], rows[1][pair["image_id"]]
        assert pair["score_change"] == pytest.approx(new["target_score"] - old["target_score"], abs=1e-6)
        assert pair["gt_lift_change"] == pytest.approx(new["gt_lift"] - old["gt_lift"], abs=1e-5)
        shift = np.hypot(new["peak_x"] - old["peak_x"], new["peak_y"] - old["peak_y"])
        assert pair["peak_shift"] == pytest.approx(shift, abs=1e-6)
        if pair["target_name"] == "cat":
            assert pair["distance"] > 0.5
            assert pair["centroid_shift"] > 0.2
        else:
            assert pair["distance"] == 0


def test_the_page_shows_the_pairs_that_moved_most_side_by_side(nights, summary):
    folder = Path(summary["page"]).parent
    page = (folder / "index.html").read_text()
    for row in pq.read_table(folder / "pairs.parquet", filters=[("target_name", "=", "cat")]).to_pylist():
        for when in ("before", "after"):
            name = f"images/{when}-{row['image_id']}-{row['target_index']}.jpg"
            assert f'src="{name}"' in page
            assert (folder / name).read_bytes()[:2] == b"\xff\xd8"
    assert "Newly failing: 1" in page


def test_the_gate_closes_with_its_reasons(nights):
    closed = Compare(max_distance=0.1, max_class_distance=0.3, max_changed=0.01, max_newly_failing=0.01, max_gone=0.01,
                     max_gt_lift_drop=0.1)  # fmt: skip
    reasons = write_comparison(*nights, closed, STORAGE)["reasons"]
    assert [reason.partition(":")[0].removeprefix("compare.") for reason in reasons] == [
        "max_distance", "max_changed", "max_newly_failing", "max_gone", "max_gt_lift_drop", "max_class_distance"
    ]  # fmt: skip
    assert "share of images whose class changed is 0.04348, more than 0.01" in reasons[1]
    assert "JS distance of cat is" in reasons[5]
    open_gate = Compare(
        max_distance=0.9, max_class_distance=0.99, max_changed=0.05, max_newly_failing=0.05, max_gone=0.05
    )
    assert write_comparison(*nights, open_gate, STORAGE)["reasons"] == []


def test_a_threshold_that_nothing_can_be_held_against_closes_the_gate(tmp_path):
    made = [dataclasses.replace(example, boxes=()) for example in examples(corner=False, per_class=6)]
    other = [dataclasses.replace(example, scores=tuple(np.roll(example.scores, 1))) for example in made]
    runs = [
        run_at(str(write_run(tmp_path / name, "r1", each, fingerprint=16 * name)), STORAGE)
        for name, each in (("a", made), ("b", other))
    ]
    summary = write_comparison(*runs, Compare(max_distance=1.0, max_class_distance=1.0), STORAGE)
    assert (summary["images"]["changed"], summary["pairs"]) == (18, 0)
    assert [reason.split(" map")[0] for reason in summary["reasons"]] == [
        f"compare.{key}: nothing to measure: no image has a" for key in ("max_distance", "max_class_distance")
    ]
    assert "no maps can be compared" in Path(summary["page"]).read_text()
    same = write_comparison(runs[0], runs[0], Compare(max_distance=0.0, max_gt_lift_drop=1.0), STORAGE)
    assert [reason.partition(":")[0] for reason in same["reasons"]] == ["compare.max_gt_lift_drop"]


def test_an_image_that_failed_before_and_is_gone_shows_its_error(tmp_path):
    lost = Example("lost", blob(0.5, 0.5), (1, 0, 0), is_missing=True)
    runs = [
        run_at(str(write_run(tmp_path / name, "r1", made, fingerprint=16 * name)), STORAGE)
        for name, made in (("a", [*examples(corner=False, per_class=2), lost]), ("b", examples(False, per_class=2)))
    ]
    page = Path(write_comparison(*runs, Compare(), STORAGE)["page"]).read_text()
    assert "Gone: 1" in page
    assert "No such file" in page


def test_a_run_against_itself_has_not_changed(nights):
    before, _ = nights
    summary = write_comparison(before, before, Compare(max_distance=0.0, max_changed=0.0), STORAGE)
    assert summary["means"]["distance"] == {"mean": 0, "low": 0, "high": 0}
    assert summary["reasons"] == []


def test_images_that_moved_to_another_folder_are_matched_by_content(nights, tmp_path):
    before, _ = nights
    after = run_at(str(write_run(tmp_path / "out", "r1", examples(corner=False, per_class=8))), STORAGE)
    summary = write_comparison(before, after, Compare(), STORAGE)
    assert summary["matched_by"] == "content_sha256"
    assert summary["images"]["both"] == 24
    assert summary["means"]["distance"]["mean"] == 0


def test_models_with_other_classes_are_refused(nights, tmp_path):
    before, _ = nights
    after = run_at(str(write_run(tmp_path / "out", "r1", examples(corner=False, per_class=2))), STORAGE)
    card = f"{after.model}/explanation.json"
    fields = json.loads(STORAGE.read(card)) | {"class_count": 4, "class_names": list("abcd")}
    STORAGE.put(card, json.dumps(fields).encode())
    with pytest.raises(AuditError, match="3 and 4 classes"):
        write_comparison(before, after, Compare(), STORAGE)


def test_photos_that_were_resized_otherwise_are_said(tmp_path):
    nights = [run_at(str(write_run(tmp_path / name, name, examples(False, per_class=2))), STORAGE) for name in "ab"]
    card = Path(nights[1].model) / "explanation.json"
    fields = json.loads(card.read_text())
    fields["preprocessing"] |= {"resize": "crop", "interpolation": "bicubic", "antialias": True}
    card.write_text(json.dumps(fields))
    write_comparison(*nights, Compare(), STORAGE)
    page = (Path(nights[1].files.folder) / "compare" / "a" / "index.html").read_text()
    assert (
        "Images were resized differently (resize stretch, interpolation area, antialias None; resize crop, "
        "interpolation bicubic, antialias True): part of every shift is due to it."
    ) in page
