import io
import json

import numpy as np
import pytest
from rich.console import Console
from synthetic import Example, write_run

from pipeline.runs.lease import Lease
from pipeline.runs.record import NoRunError, find_run, list_runs
from pipeline.runs.status import print_status, status_of
from transforms.model import digest_of_all
from transforms.storage.storage import Storage
from transforms.table.location import TableLocation

STORAGE = Storage()


def said(output, run_id=None) -> str:
    text = io.StringIO()
    print_status(str(output), run_id, False, STORAGE, Console(file=text, soft_wrap=True, markup=False))
    return text.getvalue()


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    output = tmp_path_factory.mktemp("status") / "out"
    cam, scores = np.eye(7, dtype=np.float32), (1.0, 0.0, 0.0)
    write_run(output, "r1", [Example("a", cam, scores), Example("b", cam, scores)], fingerprint="one")
    examples = [Example("a", cam, scores), *(Example(f"gone{i}", cam, scores, is_missing=True) for i in range(7))]
    write_run(output, "r2", examples, fingerprint="two")
    STORAGE.remove(f"{output}/runs/r2/summary.json")  # as a launcher that was killed leaves it
    return output


def test_each_run_says_how_far_it_is(output):
    first, second = (status_of(run, STORAGE) for run in list_runs(str(output), STORAGE))
    assert (first.run_id, first.state, first.images, first.inputs, first.failures) == ("r1", "finished", 2, 2, 0)
    assert (second.run_id, second.state, second.images, second.inputs) == ("r2", "interrupted", 8, 8)
    assert second.statuses == {"OK": 1, "FETCH_ERROR": 7}
    assert second.summary is None
    assert first.images_per_second > 0


def test_a_run_whose_launcher_is_alive_is_running(output):
    with Lease(TableLocation(str(output), "r2", "two", token="t"), STORAGE):
        assert status_of(find_run(str(output), "r2", STORAGE), STORAGE).state == "running"
        assert status_of(find_run(str(output), "r1", STORAGE), STORAGE).state == "finished"
    assert status_of(find_run(str(output), "r2", STORAGE), STORAGE).state == "interrupted"


def test_a_person_reads_the_runs_the_failures_and_the_last_errors(output):
    lines = said(output).splitlines()
    assert lines[0].startswith("r1  finished, started ")
    assert lines[1].startswith("r2  interrupted, started ")
    assert ": 8 images of 8 lines, " in lines[1]
    assert lines[2] == "images by status in r2: 7 FETCH_ERROR, 1 OK"
    assert len(lines) == 3 + 5
    assert all(line.startswith("  FETCH_ERROR /") and "No such file" in line for line in lines[3:])
    assert said(output, "r1").splitlines()[1:] == ["images by status in r1: 2 OK"]


def test_a_finished_run_with_nothing_new_says_so(tmp_path):
    write_run(tmp_path / "out", "r1", [Example("a", np.eye(7, dtype=np.float32), (1.0, 0.0, 0.0))])
    (part,) = (tmp_path / "out" / "statistics" / "run=r1").iterdir()
    part.unlink()  # as where the images were done before
    assert said(tmp_path / "out").splitlines()[1:] == ["images by status in r1: nothing was left to explain"]


def test_a_program_reads_json(output, capsys):
    print_status(str(output), None, True, STORAGE, Console())
    read = json.loads(capsys.readouterr().out)
    assert [run["run_id"] for run in read["runs"]] == ["r1", "r2"]
    assert len(read["last_errors"]) == 5


def test_what_is_not_there_is_said_with_what_is(output, tmp_path):
    with pytest.raises(NoRunError, match=r"holds no run: give the output\.path of a job"):
        list_runs(str(tmp_path), STORAGE)
    with pytest.raises(NoRunError, match="has no run 'r9'; it has: r1, r2"):
        find_run(str(output), "r9", STORAGE)


def test_parts_that_another_model_has_made_are_counted(tmp_path):
    cam, scores = np.eye(7, dtype=np.float32), (1.0, 0.0, 0.0)
    write_run(tmp_path, "r1", [Example("a", cam, scores)], fingerprint="one", model_digest=digest_of_all({"f": "1"}))
    record = tmp_path / "runs" / "r1" / "run.json"
    for files, others in (({"f": "1"}, 0), ({"f": "2"}, 1), ({}, 0)):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"model_files": files}))
        assert status_of(find_run(str(tmp_path), "r1", STORAGE), STORAGE).other_models == others
        assert ("1 parts of r1 were made by other model files" in said(tmp_path)) == bool(others)
