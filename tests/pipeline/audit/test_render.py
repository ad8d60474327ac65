import dataclasses
import os

import cv2
import numpy as np
import pytest
from example_runs import examples
from synthetic import AUDIT_CARD, blob, write_run
from typer.testing import CliRunner

from pipeline.audit.errors import AuditError
from pipeline.audit.inputs.table import open_table
from pipeline.audit.render import overlay_look, overlay_uri, policy_rows, render, select_rows
from pipeline.cli import app
from pipeline.runs.record import run_at
from transforms.explain.loading import ImageLoader
from transforms.explain.settings import ExplainSettings
from transforms.overlays.render import render_overlay
from transforms.overlays.settings import OverlaySettings
from transforms.records import ImageRef
from transforms.storage.storage import Storage
from transforms.table.location import TableLocation
from transforms.table.schema import statistics_schema

STORAGE = Storage()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = examples(corner=False, per_class=6)
    made.append(dataclasses.replace(made[0], name="zero", cam=-blob(0.5, 0.5)))
    return write_run(tmp_path_factory.mktemp("render") / "out", "r1", made)


@pytest.fixture
def run(folder):
    return run_at(str(folder), STORAGE)


@pytest.fixture
def table(run):
    with open_table({"statistics": run}, STORAGE) as table:
        yield table


def test_an_overlay_after_the_fact_is_the_one_that_the_job_would_have_written(table, run):
    row = table.records("SELECT * FROM statistics WHERE status = 'OK' ORDER BY image_id LIMIT 1")[0]
    look = overlay_look(run.config)
    made = render(table, run, [(row["image_id"], row["target_index"])], look, overlay_uri(run, look), STORAGE)
    name = f"{row['image_id']}-{row['target_index']}.jpg"
    assert made[0].uri == f"{run.output}/overlays/run=r1/{row['image_id'][:2]}/{name}"
    settings = ExplainSettings(
        TableLocation(run.output, "r1", run.record.fingerprint), statistics_schema(), overlays=OverlaySettings()
    )
    image = ImageLoader(AUDIT_CARD, settings, STORAGE).load(ImageRef(row["uri"], row["image_id"]))
    example = next(e for e in examples(corner=False, per_class=6) if f"/{e.name}.jpg" in row["uri"])
    wanted = render_overlay(image.photo, example.cam, image.placement, look.opacity, look.colormap)
    found = cv2.imread(made[0].uri)[:, :, ::-1]
    assert np.abs(found.astype(int) - wanted).mean() < 3  # JPEG


def test_conditions_select_rows_in_order(table):
    keys = select_rows(table, "border_lift IS NOT NULL", "border_lift DESC, image_id", 3)
    found = table.records(
        "SELECT image_id FROM statistics WHERE border_lift IS NOT NULL ORDER BY border_lift DESC, image_id LIMIT 3"
    )
    assert [image_id for image_id, _ in keys] == [row["image_id"] for row in found]
    assert len(select_rows(table, "status = 'ZERO'", "image_id", 10)) == 1


@pytest.mark.parametrize(
    "where",
    ["no_such_column > 1", "true; DROP TABLE statistics", "uri IN (SELECT content FROM read_text('/etc/hostname'))"],
)
def test_what_is_no_condition_over_the_columns_is_refused(table, where):
    with pytest.raises(AuditError, match="--where"):
        select_rows(table, where, "image_id", 10)
    assert table.records("SELECT count(*) AS n FROM statistics") == [{"n": 19}]


def test_a_sample_is_the_images_with_the_smallest_hashes_of_each_class(table):
    keys = policy_rows(table, "sample:2")
    rows = table.records("SELECT image_id, predicted_index, target_index FROM statistics")
    wanted = set()
    for kind in range(3):
        ids = sorted(row["image_id"] for row in rows if row["predicted_index"] == kind)
        wanted |= {(image_id, kind) for image_id in ids[:2]}
    assert set(keys) == wanted
    assert len(keys) == 6


def test_the_worst_of_every_rule_are_those_of_the_galleries(table):
    keys = policy_rows(table, "worst:1")
    assert len(keys) == len(set(keys))
    top = table.records(
        "SELECT image_id, target_index FROM statistics ORDER BY border_lift DESC NULLS LAST, image_id LIMIT 1"
    )
    assert (top[0]["image_id"], top[0]["target_index"]) in keys
    zero = table.records("SELECT image_id, target_index FROM statistics WHERE status = 'ZERO'")[0]
    assert (zero["image_id"], zero["target_index"]) in keys


def test_an_image_that_has_changed_or_gone_is_told_and_the_others_are_rendered(tmp_path):
    run = run_at(str(write_run(tmp_path / "out", "r1", examples(corner=False, per_class=1))), STORAGE)
    photos = sorted((tmp_path / "photos").iterdir())
    photos[0].write_bytes(photos[1].read_bytes())
    os.unlink(photos[2])
    look = overlay_look(run.config)
    with open_table({"statistics": run}, STORAGE) as table:
        made = render(table, run, select_rows(table, "true", "uri", 9), look, overlay_uri(run, look), STORAGE)
    problems = sorted(overlay.problem for overlay in made if overlay.problem)
    assert len(problems) == 2
    assert "p000.jpg: the image has changed since the run" in problems[0]
    assert "p002.jpg" in problems[1]
    assert sum(overlay.uri is not None for overlay in made) == 1


def test_the_command_prints_where_each_overlay_is(folder):
    output = str(folder.parent.parent)
    answer = CliRunner().invoke(app, ["render", output, "--where", "target_name = 'cup'", "--limit", "2"])
    assert answer.exit_code == 0
    assert len(answer.stdout.splitlines()) == 2
    assert all(os.path.exists(line) for line in answer.stdout.splitlines())
    answer = CliRunner().invoke(app, ["render", output, "--run", "r9"])
    assert answer.exit_code == 2
    assert "no run 'r9'" in answer.stderr


def test_compare_is_a_gate_with_exit_code_three(folder, tmp_path):
    config = tmp_path / "gate.yaml"
    config.write_text("compare: {max_distance: 0.05}")
    after = write_run(
        tmp_path / "out",
        "r2",
        [dataclasses.replace(e, cam=blob(0.9, 0.1)) for e in examples(corner=False, per_class=6)],
    )
    assert CliRunner().invoke(app, ["compare", str(folder), str(folder), "--config", str(config)]).exit_code == 0
    answer = CliRunner().invoke(app, ["compare", str(folder), str(after), "--config", str(config)])
    assert answer.exit_code == 3
    assert len(answer.stdout.splitlines()) == 1
    assert '"reasons": ["compare.max_distance: mean JS distance of the maps is ' in answer.stdout
