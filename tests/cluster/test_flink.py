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

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(engines.flink_missing()), reason=str(engines.flink_missing())),
]
LATENCY = 0.05  # seconds


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
def test_the_table_is_whole_after_a_loss(flink, photos, expected, tmp_path, victim):
    job = runs.start_job(tmp_path, "out", photos, flink.options, seconds=1.0)
    runs.wait_for_parts(tmp_path, "out", 4, job)
    assert job.poll() is None
    if victim == "client":
        os.killpg(job.pid, signal.SIGKILL)
    else:
        lost = flink.processes[victim].args, flink.environments[victim]
        flink.kill(victim)
        flink.start(victim, *lost)
    if job.wait(runs.JOB_SECONDS) != 0:
        runs.run_job(tmp_path, "out", photos, flink.options)
    runs.assert_same_table(runs.rows_of(tmp_path, "out"), expected)
    assert runs.temporary_files(tmp_path / "out") == []


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
    lines = [f"{root}{i}.png" for i in range(1600)]
    seconds = {}
    for workers in (1, 2):
        name = f"out-{workers}"
        runs.run_job(tmp_path, name, lines, [*flink.options, f"--parallelism={workers}"], roots=[root], buckets=200)
        assert {row["status"] for row in runs.rows_of(tmp_path, name)} == {"OK"}
        times = [note["time"] for note in runs.notes_of(tmp_path, name)]
        seconds[workers] = times[-1] - times[0]
    server.shutdown()
    assert seconds[1] / seconds[2] >= 1.8, seconds
