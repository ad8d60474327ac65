"""The job on a real Flink: JobManager, two TaskManagers, an SDK worker pool beside each."""

import http.server
import os
import signal
import threading
import time
from pathlib import Path

import engines
import pytest
import runs
from launcher import launchers
from waiting import wait_until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(engines.flink_missing()), reason=str(engines.flink_missing())),
]
LATENCY = 0.25  # seconds; so long that a busy processor does not count beside it


@pytest.fixture(scope="module")
def flink(tmp_path_factory):
    port = engines.free_port()
    engine = engines.start_flink(tmp_path_factory.mktemp("flink"), port, engines.free_port(), runs.MODULES)
    try:
        engines.start_job_server(engine, engines.FLINK_JOB_SERVER, "--flink-master", f"http://localhost:{port}")
        yield engine
    finally:
        engine.stop()


def test_the_table_is_that_of_the_local_runner_and_both_task_managers_worked(flink, photos, expected, tmp_path):
    runs.run_job(tmp_path, "out", photos, flink.options)
    runs.assert_same_table(runs.rows_of(tmp_path, "out"), expected)
    assert runs.temporary_files(tmp_path / "out") == []
    totals = (tmp_path / "out" / "runs" / "r1" / "totals.json").read_text()
    assert '"planned": 62' in totals
    assert '"duplicates": 1' in totals
    notes = runs.notes_of(tmp_path, "out")
    assert {note["pool"] for note in notes} == {"1", "2"}
    assert len({note["pid"] for note in notes}) == 2  # a worker process each, with one model


@pytest.mark.parametrize("victim", ["task-manager-1", "worker-pool-1", "client"])
def test_the_table_is_whole_after_a_loss(flink, photos, expected, gate, tmp_path, victim):
    job = runs.start_job(tmp_path, "out", photos, flink.options, gate)
    gate.let(4)
    runs.wait_for_parts(tmp_path, "out", 4, job)
    if victim == "client":
        os.killpg(job.pid, signal.SIGKILL)
    else:
        lost = flink.processes[victim].args, flink.environments[victim]
        flink.kill(victim)
        flink.start(victim, *lost)
    gate.open()
    if job.wait(runs.JOB_SECONDS) != 0:
        runs.run_job(tmp_path, "out", photos, flink.options)
    runs.assert_same_table(runs.rows_of(tmp_path, "out"), expected)
    assert runs.temporary_files(tmp_path / "out") == []


def test_a_real_model_gives_the_table_of_the_local_runner(flink, bundled, tmp_path):
    runs.assert_same_table(runs.run_bundled(tmp_path / "out", flink.options), bundled, rel=1e-4)


def test_explain_in_ones_own_pipeline_gives_the_rows_of_the_local_runner(flink, bundled, tmp_path):
    uris = [*(row["uri"] for row in bundled), f"{tmp_path}/missing.jpg"]
    (tmp_path / "local").mkdir()
    local = runs.run_own_pipeline(tmp_path / "local", uris, ["--runner=FnApiRunner"])
    assert [row["status"] for row in local].count("FETCH_ERROR") == 1
    first = {row["uri"]: row for row in local if row["target_rank"] == 1}
    for row in bundled:  # the job's
        assert row["cam"] == first[row["uri"]]["cam"]
        assert row["target_score"] == first[row["uri"]]["target_score"]
    (tmp_path / "flink").mkdir()
    runs.assert_same_table(runs.run_own_pipeline(tmp_path / "flink", uris, flink.options), local, rel=1e-4)


def states(engine, name: str) -> set[str]:
    """Of the jobs on the cluster whose name begins with ``name``."""
    master = next(option for option in engine.options if option.startswith("--flink_master="))
    jobs = engines.rest(int(master.rpartition(":")[2]), "/jobs/overview").get("jobs", ())
    return {job["state"] for job in jobs if job["name"].startswith(name)}


@pytest.mark.parametrize("job_server", ["of the launcher", "that stays"])
def test_ctrl_c_cancels_the_job_and_the_same_command_finishes_it(flink, photos, expected, gate, tmp_path, job_server):
    stays = job_server == "that stays"
    options = [option for option in flink.options if stays or not option.startswith("--job_endpoint=")]
    run_id = "interrupted-" + ("there" if stays else "own")
    command = runs.command_line(photos, tmp_path, options, f"run.id={run_id}")
    with launchers(tmp_path) as launch:
        pid = launch.start(*command, gate=gate)
        gate.let(2)
        runs.wait_for_parts(tmp_path, "out", 2)
        status = runs.status_of(tmp_path / "out")
        assert (status["state"], status["inputs"]) == ("running", len(photos))
        assert 0 < status["images"] < len(expected)
        wait_until(lambda: states(flink, f"beam-gradcam-{run_id}") == {"RUNNING"}, runs.JOB_SECONDS)
        os.killpg(pid, signal.SIGINT)  # as a terminal does: to the job server of the launcher too
        assert launch.wait(pid) == 130, launch.log  # although the model stands at the gate
        assert "could not be cancelled" not in launch.log
        wait_until(lambda: states(flink, f"beam-gradcam-{run_id}") == {"CANCELED"}, runs.JOB_SECONDS)
        assert runs.status_of(tmp_path / "out")["state"] == "interrupted"
        assert launch.run(*command) == 1, launch.log  # two images failed, and none may
        outcome = runs.outcome_of(launch.log)
    assert (outcome["images"], outcome["duplicates"], outcome["failures"]) == (62, 1, 2)
    assert 0 < outcome["explained_now"] < 62
    rows = [{**row, "run_id": "r1", "run": "r1"} for row in runs.rows_of(tmp_path, "out")]
    runs.assert_same_table(rows, expected)
    status = runs.status_of(tmp_path / "out")
    assert (status["state"], status["images"], status["failures"]) == ("finished", 62, 2)


def test_nothing_but_failures_ends_the_job_with_exit_code_1(flink, tmp_path):
    lines = [f"{tmp_path}/missing-{i}.png" for i in range(60)]
    with launchers(tmp_path) as launch:
        assert launch.run(*runs.command_line(lines, tmp_path, flink.options, "run.max_failures=4")) == 1, launch.log
        outcome = runs.outcome_of(launch.log)
    assert outcome["error"].startswith("nothing but failures: the first ")
    assert "No such file" in outcome["error"]
    assert runs.status_of(tmp_path / "out")["state"] == "interrupted"


def test_two_workers_fetch_nearly_twice_as_fast_as_one(flink, tmp_path):
    photo = Path(runs.write_photos(tmp_path, 1)[0]).read_bytes()

    class Slow(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            time.sleep(LATENCY)
            self.send_response(200)
            self.send_header("Content-Length", str(len(photo)))
            self.end_headers()
            self.wfile.write(photo)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    lines = [f"{root}{i}.png" for i in range(800)]
    seconds = {}
    for workers in (1, 2):
        name = f"out-{workers}"
        runs.run_job(tmp_path, name, lines, [*flink.options, f"--parallelism={workers}"], roots=[root], buckets=100)
        assert {row["status"] for row in runs.rows_of(tmp_path, name)} == {"OK"}
        times = [note["time"] for note in runs.notes_of(tmp_path, name)]
        seconds[workers] = times[-1] - times[0]
    server.shutdown()
    server.shutdown()
    assert seconds[1] / seconds[2] >= 1.8, seconds
