"""Cancelling on Flink: the right job, through the REST interface; tests/cluster does it on a real one."""

import contextlib
import http.server
import json
import re
import threading

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.launch.flink import cancel_on_flink
from pipeline.launch.runners import name_job


@contextlib.contextmanager
def flink(*jobs: tuple[str, str, str]):
    """A server that answers as Flink's does; yields its address and the requests that came."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer({"jobs": [dict(zip(("jid", "name", "state"), job, strict=True)) for job in jobs]})

        def do_PATCH(self):
            self.answer({})

        def answer(self, body):
            requests.append((self.command, self.path))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()


def options_for(master: str, runner: str = "FlinkRunner") -> PipelineOptions:
    return PipelineOptions([f"--runner={runner}", f"--flink_master={master}"])


def test_the_job_of_that_name_is_cancelled_and_no_other():
    jobs = (("a1", "ours", "FINISHED"), ("a2", "ours", "RUNNING"), ("a3", "other", "RUNNING"))
    with flink(*jobs) as (master, requests):
        assert cancel_on_flink(options_for(master), "ours")
    assert requests == [("GET", "/jobs/overview"), ("PATCH", "/jobs/a2?mode=cancel")]


def test_nothing_is_cancelled_where_it_is_not_clear_which():
    with flink(("a1", "ours", "RUNNING"), ("a2", "ours", "RESTARTING")) as (master, requests):
        with pytest.raises(LookupError, match=r"2 jobs at http://127.* are named ours: a1, a2"):
            cancel_on_flink(options_for(master), "ours")
        assert requests == [("GET", "/jobs/overview")]
    with pytest.raises(OSError, match="refused"):
        cancel_on_flink(options_for(master), "ours")


def test_without_a_flink_cluster_there_is_nothing_to_ask():
    assert not cancel_on_flink(options_for("[auto]"), "ours")
    assert not cancel_on_flink(options_for("127.0.0.1:1", "SparkRunner"), "ours")


def test_a_job_has_a_name_of_its_own_that_dataflow_takes():
    names = {name_job(PipelineOptions([]), "Night_2026.11") for _ in range(2)}
    assert len(names) == 2
    assert all(re.fullmatch(r"beam-gradcam-night-2026-11-[0-9a-f]{8}", name) for name in names)
    assert name_job(PipelineOptions(["--job_name=mine"]), "r1") == "mine"
