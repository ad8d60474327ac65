"""A shared output folder, written to by others, does nothing to its reader: it is read, checked or refused by name."""

import dataclasses
import io
import json
import logging
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import small_models
import yaml
from example_runs import examples
from synthetic import blob, write_run
from tampering import change_footer, change_json, change_part, damage_pages, parts_of, with_column
from typer.testing import CliRunner

from pipeline.audit.errors import AuditError
from pipeline.audit.inputs.database import sealed_database
from pipeline.audit.inputs.overlays import stored_overlay
from pipeline.audit.inputs.table import open_table
from pipeline.audit.render import overlay_look, overlay_pictures, overlay_uri, render, select_rows
from pipeline.cli import app
from pipeline.config import Run as RunSettings
from pipeline.logs import JsonFormatter, RedactingFormatter
from pipeline.runs.lease import Lease
from pipeline.runs.record import NoRunError, find_run, list_runs, run_at
from pipeline.runs.run_id import choose_run_id
from pipeline.terminal import SafeConsole, one_line
from transforms.model import compiled
from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled, read_card
from transforms.model.errors import ModelRefused
from transforms.model.options import ModelOptions
from transforms.storage.access import Doors, ForbiddenError
from transforms.storage.state_files import StateError
from transforms.storage.storage import Storage
from transforms.table.commit import read_totals
from transforms.table.done import read_done_images, read_earlier_parts
from transforms.table.lease import read_holder
from transforms.table.location import TableLocation

STORAGE = Storage()
EVIL = "\x1b]0;owned\x07\x1b[31m\u202egnp.exe\r\n[red]OK[/red] \x9b2J"


@pytest.fixture
def output(tmp_path):
    """An output with one finished run, r1."""
    return write_run(tmp_path / "out", "r1", examples(corner=False, per_class=2)).parent.parent


def run_of(output):
    return run_at(f"{output}/runs/r1", STORAGE)


def invoke(*arguments):
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return answer


# Overlays that rows name


def tempting(output, kind: str) -> str:
    """A file that is no overlay of this output, and a URI that leads to it."""
    secret = output.parent / "secret.jpg"
    secret.write_bytes((output.parent / "photos" / "p000.jpg").read_bytes())
    inside = output / "overlays" / "run=r1"
    inside.mkdir(parents=True, exist_ok=True)
    if kind == "symbolic link":
        (inside / "link.jpg").symlink_to(secret)
        return f"{inside}/link.jpg"
    if kind == "linked folder":
        (inside / "folder").symlink_to(output.parent)
        return f"{inside}/folder/secret.jpg"
    if kind == "fifo":
        os.mkfifo(inside / "fifo.jpg")
        return f"{inside}/fifo.jpg"
    if kind == "page":
        (inside / "page.jpg").write_bytes(b"<html><script>alert(1)</script>")
        return f"{inside}/page.jpg"
    return {
        "absolute": str(secret),
        "with a scheme": f"file://{secret}",
        "dots": f"{inside}/../../../secret.jpg",
        "escaped dots": f"{inside}/%2e%2e/%2e%2e/%2e%2e/secret.jpg",
        "cache": f"simplecache::file://{secret}",
        "cache before the folder": f"simplecache::file://{secret}::{inside}/x.jpg",
        "private host": "http://169.254.169.254/latest/meta-data",
        "prefix": f"{output}/overlays-of-others/secret.jpg",
        "other scheme": "memory://overlays/secret.jpg",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "absolute", "with a scheme", "dots", "escaped dots", "cache", "cache before the folder", "private host",
        "prefix", "other scheme", "symbolic link", "linked folder", "fifo", "page",
    ],
)  # fmt: skip
def test_only_overlays_of_this_output_are_copied_into_a_report(output, kind):
    uri = tempting(output, kind)
    assert stored_overlay(uri, run_of(output), STORAGE) is None
    for part in parts_of(output):
        change_part(part, with_column("overlay_uri", [uri]))
    run, page = run_of(output), f"{output}/page"
    with open_table({"statistics": run}, STORAGE) as table:
        rows = table.records("SELECT image_id, target_index, overlay_uri FROM statistics")
        pictures = overlay_pictures(table, run, rows, page, "", STORAGE)
    assert all(picture["problem"] is None for picture in pictures.values())  # made anew from the photos
    secret = (output.parent / "secret.jpg").read_bytes()
    assert all((output / "page" / picture["src"]).read_bytes() != secret for picture in pictures.values())


def test_an_overlay_of_this_output_is_copied_as_it_is(output):
    run = run_of(output)
    look = overlay_look(run.config)
    with open_table({"statistics": run}, STORAGE) as table:
        made = render(table, run, select_rows(table, "true", "uri", 1), look, overlay_uri(run, look), STORAGE)
    assert made[0].uri is not None
    with open(made[0].uri, "rb") as file:
        assert stored_overlay(made[0].uri, run, STORAGE) == file.read()
    assert stored_overlay(None, run, STORAGE) is None
    assert stored_overlay(f"{run.files.overlays}/00/nothing.jpg", run, STORAGE) is None


def test_an_image_id_that_is_a_path_writes_nothing_outside(output):
    for part in parts_of(output):
        change_part(part, with_column("image_id", ["../../../../escaped"]))
    answer = invoke("render", output)
    assert answer.exit_code == 2
    assert "image_id '../../../../escaped', but an id is 32 hex digits" in answer.stderr
    assert not list(output.parent.rglob("*escaped*"))


# SQL


@pytest.mark.parametrize(
    "region",
    [
        "x FLOAT); COPY (SELECT 1) TO '/tmp/owned'; --", 'x" FLOAT; DROP TABLE statistics; --', "x_mass", "", "Ä",
        "a b", "__proto__'",
    ],
)  # fmt: skip
def test_regions_of_a_config_are_checked_as_at_launch(output, region):
    path = output / "runs" / "r1" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["audit"]["regions"] = {region: [0, 0, 0.5, 0.5]}
    path.write_text(yaml.safe_dump(config))
    if region == "x_mass":  # a name that a config may have
        assert invoke("report", output).exit_code == 0
        return
    answer = invoke("report", output)
    assert answer.exit_code == 2
    assert f"{path} is not the config of a run that this version can read" in answer.stderr
    assert "audit.regions" in answer.stderr
    assert not (output / "runs" / "r1" / "report").exists()


@pytest.mark.parametrize("box", [[0, 0, 2, 2], [0.5, 0, 0.4, 1], "0,0,1,1", [0, 0, 1], [float("nan")] * 4, None])
def test_boxes_of_a_config_are_checked_as_at_launch(output, box):
    path = output / "runs" / "r1" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["audit"]["regions"] = {"corner": box}
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(NoRunError, match=r"config\.yaml is not the config of a run .*audit\.regions"):
        run_of(output)


@pytest.mark.parametrize(
    "column",
    [
        'region_x" FROM statistics; COPY (SELECT 1) TO \'/tmp/owned\'; --_lift', "region_x) FROM range(1); --_lift",
        "region_X_lift", 'a" b', "select", "a'b", "region__lift",
    ],
)  # fmt: skip
def test_columns_of_a_part_are_names_and_never_sql(output, column):
    for part in parts_of(output):
        change_part(part, with_column(column, [1.0, 2.0, 3.0], pa.float32()))
    answer = invoke("report", output)
    assert answer.exit_code == 0
    with open_table({"statistics": run_of(output)}, STORAGE) as table:
        assert column in table.columns
        assert table.regions == ()
        assert table.records("SELECT count(*) AS n FROM statistics") == [{"n": 6}]


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("border_lift", ["1) FROM statistics; --"], pa.string()),
        ("target_index", ["0"], pa.string()),
        ("cam", ["{}"], pa.string()),
        ("is_correct", ["yes"], pa.string()),
    ],
)
def test_a_text_where_a_number_belongs_is_refused(output, column, values, kind):
    change_part(parts_of(output)[0], with_column(column, values, kind))
    answer = invoke("report", output)
    assert answer.exit_code == 2
    assert f"has a column {column} of type" in answer.stderr or "cannot be read as one table" in answer.stderr


def test_the_database_is_sealed_before_it_sees_a_file(tmp_path):
    files = [tmp_path / name for name in ("a'b [1].parquet", "secret.parquet")]
    for number, file in enumerate(files):
        pa.parquet.write_table(pa.table({"a": [number]}), file)
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "link.parquet").symlink_to(files[0])
    (tmp_path / "db" / "other.parquet").symlink_to(files[1])
    with sealed_database(tmp_path / "db", [tmp_path / "db" / "link.parquet"]) as database:
        read = "SELECT * FROM read_parquet($path)"
        assert database.execute(read, {"path": f"{tmp_path}/db/link.parquet"}).fetchall() == [(0,)]
        for refused in (
            f"SELECT * FROM read_parquet('{files[1]}')",
            f"SELECT * FROM read_parquet('{tmp_path}/db/other.parquet')",
            "SELECT * FROM read_text('/etc/hostname')",
            f"COPY (SELECT 1) TO '{tmp_path}/owned'",
            "SET enable_external_access = true",
            "SET allowed_paths = ['/']",
            "INSTALL httpfs",
            "LOAD httpfs",
        ):
            with pytest.raises(duckdb.Error):
                database.execute(refused)
    with sealed_database(tmp_path / "db") as database, pytest.raises(duckdb.Error):
        database.execute(read, {"path": f"{tmp_path}/db/link.parquet"})


# Files of state

HUGE = 1 << 25  # bytes


def spoil(path, how: str) -> None:
    if how == "huge":
        with path.open("wb") as file:
            file.truncate(HUGE)
        return
    path.write_bytes(
        {
            "empty": b"", "object": b"{}", "list": b"[]", "null": b"null", "text": b"x" * 100, "zeros": bytes(100),
            "binary": bytes(range(256)), "deep": b"[" * 100_000, "half": path.read_bytes()[: path.stat().st_size // 2],
        }[how]
    )  # fmt: skip


BROKEN = ["empty", "object", "list", "null", "text", "zeros", "binary", "deep", "half", "huge"]


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("name", ["run.json", "summary.json", "config.yaml"])
def test_a_broken_file_of_a_run_is_named_with_what_to_do(output, name, how):
    write_run(output, "r2", examples(corner=False, per_class=1))
    path = output / "runs" / "r1" / name
    spoil(path, how)
    if name == "config.yaml" and how in ("object", "half"):  # what it does not say is as by default
        pytest.skip("a config may say less")
    for command in ("report", "render", "status"):
        answer = invoke(command, output, "--run", "r1")
        assert answer.exit_code == 2
        assert str(path) in answer.stderr
        assert re.search("remove|move|run the job again", answer.stderr)
        assert "Traceback" not in answer.stderr
    assert [run.run_id for run in list_runs(str(output), STORAGE)] == ["r2"]  # the other is passed over, aloud
    answer = invoke("status", output)
    assert (answer.exit_code, f"passed over: {path}" in answer.stderr) == (0, True)
    answer = invoke("compare", output / "runs" / "r1", output / "runs" / "r2")
    assert (answer.exit_code, str(path) in answer.stderr) == (2, True)


def test_a_config_of_another_version_is_read_as_far_as_it_is_known(output):
    path = output / "runs" / "r1" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["explain"]["of_tomorrow"] = 1
    config["tomorrow"] = {"a": [1]}
    del config["overlays"]["opacity"]
    path.write_text(yaml.safe_dump(config))
    run = run_of(output)
    assert "tomorrow" not in run.config
    assert "of_tomorrow" not in run.config["explain"]
    assert run.config["overlays"]["opacity"] == 0.4


def test_a_config_that_multiplies_itself_is_refused(output):
    path = output / "runs" / "r1" / "config.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    path.write_text("\n".join([*lines, "audit: {regions: {b: *a29}}"]))
    with pytest.raises(NoRunError, match=r"config\.yaml is not the config of a run .*alias"):
        run_of(output)


def test_a_record_of_another_version_is_read_as_far_as_it_is_known(output):
    for name in ("run.json", "summary.json"):
        change_json(output / "runs" / "r1" / name, of_tomorrow={"a": 1})
    run = run_of(output)
    assert run.run_id == "r1"
    assert run.record.model_files == {}  # as written before there were digests
    assert run.summary is not None


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("fingerprint", "../../../etc"), ("fingerprint", ""), ("fingerprint", "a/b"), ("run_id", "r2"),
        ("run_id", ".."), ("started", "yesterday"), ("started", "2026-01-01T00:00:00"), ("inputs", "many"),
        ("targets", 5),
    ],
)  # fmt: skip
def test_a_record_that_leads_elsewhere_is_refused(output, fact, value):
    change_json(output / "runs" / "r1" / "run.json", **{fact: value})
    with pytest.raises(NoRunError, match=rf"run\.json is not the record of a run .*{fact}"):
        run_of(output)


def test_a_run_goes_on_without_records_that_cannot_be_read(output, caplog):
    (output / "runs" / "r1" / "summary.json").unlink()
    (output / "runs" / "r1" / "run.json").write_text("{}")
    run_id = choose_run_id(RunSettings(), str(output), "f" * 16, "predicted", "m.csv", STORAGE)
    assert run_id != "r1"
    assert "run.json is not the record of a run" in caplog.text


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_lease_is_named_with_what_to_do(output, how):
    table = dataclasses.replace(run_of(output).table, token="mine")
    with Lease(table, STORAGE):
        pass
    lease = output / "leases" / f"{table.fingerprint}.json"
    lease.parent.mkdir(exist_ok=True)
    lease.write_text(json.dumps({"token": "t"}))
    spoil(lease, how)
    with pytest.raises(StateError, match=rf"{re.escape(str(lease))} (is not the lease|has more than)") as caught:
        Lease(table, STORAGE).__enter__()
    assert "remove it" in str(caught.value) or "move it away" in str(caught.value)
    (output / "runs" / "r1" / "summary.json").unlink()
    answer = invoke("status", output)
    assert answer.exit_code == 0  # a lease that cannot be read is nobody's
    assert "r1  interrupted" in answer.stdout


@pytest.mark.parametrize(("fact", "value"), [("seen", 1e300), ("seen", -1), ("pid", 2**40), ("pid", -1), ("pid", "x")])
def test_a_lease_of_no_time_and_no_process_is_refused(output, fact, value):
    table = dataclasses.replace(run_of(output).table, token="mine")
    with Lease(table, STORAGE):
        change_json(output / "leases" / f"{table.fingerprint}.json", **{fact: value})
        with pytest.raises(StateError, match="is not the lease of a launcher"):
            read_holder(table, STORAGE)
        os.unlink(output / "leases" / f"{table.fingerprint}.json")


@pytest.mark.parametrize("how", [how for how in BROKEN if how != "object"])
def test_broken_counts_are_named_with_what_to_do(output, how):
    path = output / "runs" / "r1" / "totals.json"
    spoil(path, how)
    with pytest.raises(StateError, match=rf"{re.escape(str(path))} (is not the counts of a run|has more than)"):
        read_totals(run_of(output).table, STORAGE)


@pytest.mark.parametrize(
    "line",
    ["/etc/passwd", "http://169.254.169.254/part-x.parquet", "../part-x.parquet", "x", "{dir}/../part-a.parquet"],
)
def test_the_list_of_earlier_parts_names_parts_of_this_output_only(output, line):
    table = run_of(output).table
    path = output / "runs" / "r1" / "earlier.txt"
    part = str(parts_of(output)[0])
    path.write_text(part)
    assert sum(len(done.image_ids) for done in read_earlier_parts(table, STORAGE)) == 6
    path.write_text(f"{part}\n{line.format(dir=f'{output}/statistics')}")
    with pytest.raises(StateError, match=r"earlier\.txt is not the list of the parts .*it names"):
        list(read_earlier_parts(table, STORAGE))


def test_damaged_pages_of_a_part_are_named_with_what_to_do(output):
    part = parts_of(output)[0]
    table = run_of(output).table
    damage_pages(part)
    with pytest.raises(
        StateError, match=rf"(?s){re.escape(str(part))} is not a part that this version .*; move it out of"
    ):
        read_done_images(str(part), table, STORAGE)
    answer = invoke("report", output)
    assert answer.exit_code == 2
    assert f"{part} is damaged (" in answer.stderr
    assert "move it away: the next run explains its images again" in answer.stderr


@pytest.mark.parametrize(
    "facts",
    [
        {"images": "many"}, {"statuses": {"FINE": 3}}, {"statuses": [1]}, {"committed": "now"}, {"seconds": None},
        {"committed": "2026-01-01T00:00:00"},
    ],
)  # fmt: skip
def test_a_footer_of_another_version_is_named_with_what_to_do(output, facts):
    part = parts_of(output)[0]
    change_footer(part, **facts)
    for command in ("status", "report"):
        answer = invoke(command, output)
        assert answer.exit_code == 2
        assert f"{part} is not a part that this version can read" in answer.stderr
        assert "move it out of the statistics folder" in answer.stderr


def test_footers_that_say_more_are_read(output):
    change_footer(parts_of(output)[0], of_tomorrow=1)
    assert invoke("status", output).exit_code == 0


@pytest.mark.parametrize("name", ["controls.parquet", "faithfulness.parquet"])
@pytest.mark.parametrize("how", ["empty", "text", "huge"])
def test_broken_tables_of_a_run_are_named(output, name, how):
    path = output / "runs" / "r1" / name
    path.write_bytes(b"")
    spoil(path, how)
    answer = invoke("report", output)
    assert answer.exit_code == 2
    assert str(path) in answer.stderr


# What a run's folder may open


def test_a_run_opens_no_door_that_its_reader_has_shut(output):
    path = output / "runs" / "r1" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["input"] |= {"manifest": "http://127.0.0.1:9/m.csv", "allowed_roots": ["http://127.0.0.1:9/"]}
    path.write_text(yaml.safe_dump(config))
    doors = run_of(output).guarded(STORAGE).doors
    with pytest.raises(ForbiddenError, match=r"127\.0\.0\.1"):
        doors.check("http://127.0.0.1:9/a.jpg")
    readers = dataclasses.replace(STORAGE, doors=Doors(allowed_roots=("http://127.0.0.1:9/",)))
    run_of(output).guarded(readers).doors.check("http://127.0.0.1:9/a.jpg")  # the reader's config opens it
    with pytest.raises(ForbiddenError, match="below none"):
        run_of(output).guarded(readers).doors.check("/etc/passwd")


def test_pictures_of_a_run_cost_no_more_than_its_reader_allows(output):
    path = output / "runs" / "r1" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["input"] |= {"max_pixels": 10**12, "max_bytes": 10**12}
    path.write_text(yaml.safe_dump(config))
    strict = output.parent / "strict.yaml"
    strict.write_text("input: {max_pixels: 10}")
    answer = invoke("render", output, "--config", strict)
    assert answer.exit_code == 1
    assert "the limit is 10" in answer.stderr
    assert invoke("render", output).exit_code == 0


def test_a_private_host_is_not_asked_for_an_image_that_a_row_names(output):
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_port}/latest/meta-data"
    for part in parts_of(output):
        change_part(part, with_column("uri", [uri]))
    answer = invoke("render", output)
    server.shutdown()
    assert answer.exit_code == 1
    assert "a loopback, link-local or private address" in answer.stderr
    assert asked == []


# Compiled models


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "model.keras"
    small_models.randomised(small_models.convolutional()).save(path)
    return path


@pytest.fixture
def model(source, tmp_path, monkeypatch):
    """A compiled model: options, the folder of models, card and the model's own folder."""
    monkeypatch.setattr(compiled, "_loaded", {})
    options = ModelOptions(str(source))
    models = tmp_path / "models"
    card = compile_model(options, str(models), STORAGE)
    return options, models, card, models / card.fingerprint


def scores(folder, card) -> np.ndarray:
    model = load_compiled(str(folder), STORAGE, 2, card)
    return model.explain(small_models.images(2), np.full((2, 1), -1, np.int32)).scores


def swap(folder, how: str) -> str:
    """Change a compiled model as somebody else could; returns the file that is then to be named."""
    weights = next(folder.glob("variables/variables.data-*"))
    graph = folder / "saved_model.pb"
    if how == "weights":
        weights.write_bytes(bytes(byte ^ 1 for byte in weights.read_bytes()))
        return str(weights)
    if how == "weights gone":
        weights.unlink()
        return str(weights)
    if how == "graph gone":
        graph.unlink()
        return str(graph)
    graph.write_bytes(b"" if how == "graph empty" else graph.read_bytes() + b"\0")
    return str(graph)


@pytest.mark.parametrize("how", ["weights", "weights gone", "graph gone", "graph empty", "graph"])
def test_a_swapped_model_is_not_loaded_and_compiled_again(model, how, caplog):
    options, models, card, folder = model
    wanted = scores(folder, card)
    compiled._loaded.clear()
    named = swap(folder, how)
    with pytest.raises(ModelRefused, match=re.escape(named)):
        load_compiled(str(folder), STORAGE, 2, card)
    again = compile_model(options, str(models), STORAGE)
    assert named in caplog.text
    assert again.fingerprint == card.fingerprint
    assert np.array_equal(scores(folder, again), wanted)


def test_the_launchers_card_counts_and_not_the_one_in_the_folder(model):
    _, _, card, folder = model
    swap(folder, "weights")
    change_json(folder / "explanation.json", files={}, source="none")
    with pytest.raises(ModelRefused, match="is not the file that was compiled"):
        load_compiled(str(folder), STORAGE, 2, card)


def test_a_model_of_an_earlier_version_without_digests_is_compiled_again(model, caplog):
    options, models, card, folder = model
    fields = json.loads((folder / "explanation.json").read_text())
    del fields["files"]
    (folder / "explanation.json").write_text(json.dumps(fields))
    assert read_card(str(folder), STORAGE).files == {}
    again = compile_model(options, str(models), STORAGE)
    assert (again.fingerprint, set(again.files)) == (card.fingerprint, set(card.files))
    assert "without digests" in caplog.text


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_card_of_one_model_does_not_stop_the_others(model, how, caplog):
    options, models, card, folder = model
    other = models / "!other"
    other.mkdir()
    (other / "explanation.json").write_text((folder / "explanation.json").read_text())
    spoil(other / "explanation.json", how)
    assert compile_model(options, str(models), STORAGE) == card  # found, behind the other
    assert f"{other}/explanation.json" in caplog.text
    with pytest.raises(StateError, match=r"!other/explanation\.json"):
        read_card(str(other), STORAGE)


@pytest.mark.parametrize(
    "facts", [{"input_height": 10**9}, {"cam_width": 0}, {"class_names": ["a"]}, {"class_count": "x"}]
)
def test_a_card_of_impossible_sizes_is_refused(model, facts):
    folder = model[3]
    change_json(folder / "explanation.json", **facts)
    with pytest.raises(StateError, match=r"explanation\.json is not the card of a compiled model"):
        read_card(str(folder), STORAGE)


def test_a_broken_card_stops_a_comparison_by_name(output):
    card = next((output / "models").glob("*/explanation.json"))
    card.write_text("{}")
    answer = invoke("compare", output / "runs" / "r1", output / "runs" / "r1")
    assert answer.exit_code == 2
    assert f"{card} is not the card of a compiled model" in answer.stderr


# Text on a terminal

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_status_shows_what_a_stranger_named_and_does_not_obey_it(output):
    for part in parts_of(output):
        change_part(part, with_column("uri", [EVIL]))
        change_part(part, with_column("status", ["FETCH_ERROR"]))
        change_part(part, with_column("error_message", [EVIL]))
        change_footer(part, statuses={"FETCH_ERROR": 6})
    answer = invoke("status", output)
    assert answer.exit_code == 0
    assert not CONTROL.search(answer.stdout)
    assert r"\x1b]0;owned\x07\x1b[31m\u202egnp.exe\r\n[red]OK[/red] \x9b2J" in answer.stdout
    assert len(answer.stdout.splitlines()) == 2 + 5  # a line for the run, one for its counts, five errors
    answer = invoke("status", output, "--json")
    assert not CONTROL.search(answer.stdout.rstrip("\n"))
    assert json.loads(answer.stdout)["last_errors"][0]["uri"] == EVIL


def test_render_shows_what_a_stranger_named_and_does_not_obey_it(output):
    for part in parts_of(output):
        change_part(part, with_column("uri", [f"/no/such/{EVIL}"]))
    answer = invoke("render", output, "--limit", "2")
    assert answer.exit_code == 1
    assert not CONTROL.search(answer.stderr)
    assert len(answer.stderr.splitlines()) == 2
    assert r"/no/such/\x1b]0;owned" in answer.stderr


def test_refusals_are_escaped(output):
    answer = invoke("report", f"{output}/{EVIL}")
    assert answer.exit_code == 2
    assert not CONTROL.search(answer.stderr)


def test_logs_are_escaped():
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "%s: \x1b[2J", (EVIL,), None)
    for formatter in (RedactingFormatter({}), JsonFormatter({})):
        text = formatter.format(record)
        assert not CONTROL.search(text)
        assert "owned" in text


def test_a_console_escapes_tables_too_and_keeps_markup_off():
    from rich.table import Table

    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, width=200)
    table = Table()
    table.add_column(f"a{EVIL}")
    table.add_row(f"b{EVIL}")
    console.print(table)
    console.print(f"c{EVIL}", style="red")
    console.print("[link=file:///etc/passwd]d[/link] :bomb:")
    shown = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())  # the console's own colours
    assert not CONTROL.search(shown)
    assert all(f"{letter}\\x1b]0;owned" in shown for letter in "abc")
    assert "[link=file:///etc/passwd]d[/link] :bomb:" in shown
    assert "[red]OK[/red]" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[0m", r"\x1b[0m"), ("a\tb\nc\r", r"a\tb\nc\r"), ("\ud800", r"\ud800"),
        ("Zürich 東京 😀", "Zürich 東京 😀"),
        ("\u2028\u200f", r"\u2028\u200f"), ("\x7f\x85", r"\x7f\x85"), (None, "None"),
    ],
)  # fmt: skip
def test_one_line(text, shown):
    assert one_line(text) == shown


def test_two_runs_are_compared_though_a_stranger_named_everything(output):
    after = write_run(output, "r2", [dataclasses.replace(e, cam=blob(0.9, 0.1)) for e in examples(False, per_class=2)])
    for part in parts_of(output):
        change_part(part, with_column("target_name", [f"<script>alert(1)</script>{EVIL}"]))
    answer = invoke("compare", output / "runs" / "r1", after)
    assert answer.exit_code == 0
    page = (after / "compare" / "r1" / "index.html").read_text()
    assert "<script>alert(1)" not in page
    assert find_run(str(output), "r2", STORAGE).run_id == "r2"


def test_a_table_without_rows_is_refused(output):
    for part in parts_of(output):
        part.unlink()
    with pytest.raises(AuditError, match="has no rows"), open_table({"statistics": run_of(output)}, STORAGE):
        pass


def test_the_location_of_a_table_cannot_be_left():
    with pytest.raises(ForbiddenError):
        Doors(allowed_roots=(TableLocation("/out", "r", "f").layout.overlays,)).check(
            "/out/overlays/../runs/r/run.json"
        )
