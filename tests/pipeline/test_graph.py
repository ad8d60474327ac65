"""The whole graph with a fake model: real files, real parts, real runner."""

import collections
import dataclasses

import apache_beam as beam
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from fakes import CARD, FakeModel

from pipeline.config.schema import Config
from pipeline.graph import build_graph
from pipeline.job import Job
from pipeline.launch.runners import pipeline_options, runner_of
from transforms.explain.settings import ExplainSettings
from transforms.manifest.manifest import Manifest
from transforms.manifest.survey import ManifestSummary
from transforms.overlays.settings import OverlaySettings
from transforms.storage.storage import Storage
from transforms.table.done import write_earlier_parts
from transforms.table.location import TableLocation
from transforms.table.parts import list_parts
from transforms.table.schema import statistics_schema
from transforms.targets import TargetPolicy

COLOURS = {"red": (0, 0, 200), "green": (0, 200, 0), "blue": (200, 0, 0)}  # BGR, as cv2.imwrite takes it


def write_photos(folder, count):
    """Photos of one colour each, brightest in the top left quarter."""
    names = []
    for i in range(count):
        colour = list(COLOURS)[i % 3]
        photo = np.zeros((16, 16, 3), np.uint8)
        photo[:] = np.array(COLOURS[colour]) // 4
        photo[:8, :8] = COLOURS[colour]
        names.append(f"{colour}-{i}.png")
        cv2.imwrite(str(folder / names[-1]), photo)
    return names


@dataclasses.dataclass
class Place:
    folder: object
    names: list

    def job(self, run_id="r1", lines=None, **settings) -> Job:
        lines = self.names if lines is None else lines
        manifest = self.folder / "manifest.txt"
        manifest.write_text("\n".join(lines))
        settings.setdefault("targets", TargetPolicy("predicted"))
        return Job(
            manifest=Manifest(str(manifest)),
            survey=ManifestSummary(len(lines), ()),
            card=CARD,
            load_model=FakeModel,
            settings=ExplainSettings(
                table=TableLocation(str(self.folder / "out"), run_id, CARD.fingerprint),
                schema=statistics_schema(),
                batch_size=3,
                **settings,
            ),
            buckets=2,
            storage=Storage(),
        )

    def run(self, job: Job):
        table = job.settings.table
        write_earlier_parts(table, list_parts(f"{table.output}/statistics", job.storage), job.storage)
        options = pipeline_options(Config(), [])
        pipeline = beam.Pipeline(runner=runner_of(options), options=options)
        build_graph(pipeline, job)
        pipeline.run().wait_until_finish()
        return self.rows()

    def rows(self):
        folder = self.folder / "out" / "statistics"
        return pq.read_table(folder).to_pylist() if folder.exists() else []


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, write_photos(tmp_path, 7))


def test_seven_photos_in_batches_of_three_give_each_one_row_with_its_numbers(place):
    rows = place.run(place.job())
    by_uri = {row["uri"]: row for row in rows}
    assert sorted(by_uri) == sorted(f"{place.folder}/{name}" for name in place.names)
    assert len(rows) == 7
    for uri, row in by_uri.items():
        colour = uri.rpartition("/")[2].partition("-")[0]
        assert (row["status"], row["predicted_name"], row["target_name"]) == ("OK", colour, colour)
        assert (row["target_reason"], row["target_rank"], row["run_id"]) == ("predicted", 1, "r1")
        assert row["cam"] == [1.0, 0.25, 0.25, 0.25]
        assert row["cam_max"] == 200
        assert row["positive_mass"] == row["evidence_sum"] == 350
        assert row["target_score"] == row["margin"] == 87.5
        assert (row["peak_x"], row["peak_y"]) == (0.25, 0.25)
        assert (row["width"], row["height"]) == (16, 16)
        assert row["error_type"] is None
        assert row["gt_status"] is None


def test_duplicate_lines_and_broken_files_are_accounted_for(place):
    (place.folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    lines = [*place.names, place.names[0], "broken.png", "missing.png", place.names[0]]
    rows = place.run(place.job(lines=lines))
    assert collections.Counter(row["status"] for row in rows) == {"OK": 7, "DECODE_ERROR": 1, "FETCH_ERROR": 1}
    failed = {row["uri"].rpartition("/")[2]: row for row in rows if row["status"] != "OK"}
    assert (failed["broken.png"]["error_stage"], failed["missing.png"]["error_stage"]) == ("decode", "fetch")
    assert failed["missing.png"]["error_type"] == "FileNotFoundError"
    assert failed["broken.png"]["byte_count"] == 15
    assert failed["broken.png"]["cam"] is None
    totals = (place.folder / "out" / "runs" / "r1" / "totals.json").read_text()
    assert totals == ('{"planned": 9, "done": 0, "done_failed": 0, "duplicates": 2, "conflicts": 0, "conflict": ""}')


def test_several_targets_give_a_row_and_an_overlay_each(place):
    overlays = OverlaySettings(max_side=16, format="png")
    rows = place.run(place.job(targets=TargetPolicy.parse("top_k:2"), overlays=overlays))
    assert len(rows) == 14
    for row in rows:
        assert row["target_rank"] in (1, 2)
        assert (row["status"] == "OK") == (row["target_rank"] == 1)  # the second colour has no positive evidence
        assert (row["feature_keep_drop"] is None) == (row["feature_remove_drop"] is None) == (row["status"] == "ZERO")
        overlay = cv2.imread(row["overlay_uri"])
        assert overlay is not None
        assert (
            f"/overlays/run=r1/{row['image_id'][:2]}/{row['image_id']}-{row['target_index']}.png" in row["overlay_uri"]
        )


def test_a_second_run_explains_only_what_is_new_and_a_third_nothing(place):
    place.run(place.job("r1", lines=place.names[:4]))
    rows = place.run(place.job("r2", lines=place.names))
    assert collections.Counter(row["run_id"] for row in rows) == {"r1": 4, "r2": 3}
    assert len({row["image_id"] for row in rows}) == 7
    assert place.run(place.job("r3", lines=place.names)) == rows
    assert not (place.folder / "out" / "statistics" / "run=r3").exists()


def test_the_same_run_again_keeps_the_parts_that_it_has_and_adds_others(place):
    place.run(place.job("r1", lines=place.names[:4]))
    rows = place.run(place.job("r1", lines=place.names))
    assert sorted(row["uri"] for row in rows) == sorted(f"{place.folder}/{name}" for name in place.names)


def test_another_fingerprint_explains_everything_again(place):
    job = place.job("r1")
    place.run(job)
    table = dataclasses.replace(job.settings.table, run_id="r2", fingerprint="other")
    rows = place.run(dataclasses.replace(job, settings=dataclasses.replace(job.settings, table=table)))
    assert collections.Counter(row["fingerprint"] for row in rows) == {"fake": 7, "other": 7}


def test_other_targets_explain_everything_again(place):
    job = place.job("r1")
    place.run(job)
    table = dataclasses.replace(job.settings.table, run_id="r2", targets="top_k:2")
    settings = dataclasses.replace(job.settings, table=table, targets=TargetPolicy.parse("top_k:2"))
    rows = place.run(dataclasses.replace(job, settings=settings))
    assert collections.Counter(row["run_id"] for row in rows) == {"r1": 7, "r2": 14}


def test_nothing_temporary_stays_and_every_label_is_its_own(place):
    place.run(place.job(overlays=OverlaySettings()))
    names = [path.name for path in (place.folder / "out").rglob("*") if path.is_file()]
    assert not [name for name in names if name.startswith(".") or "tmp" in name]
    pipeline = beam.Pipeline()
    build_graph(pipeline, place.job())  # Beam refuses labels that stand twice
    assert len(pipeline.to_runner_api().SerializeToString()) < 40_000
