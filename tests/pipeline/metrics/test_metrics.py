import contextlib
import http.server
import re
import threading

import pytest
from colour_models import NAMES, colour_classifier, write_pictures
from rich.console import Console

from pipeline.config.schema import Config
from pipeline.launch.run import launch
from pipeline.metrics.target import MetricsRefused, open_target
from pipeline.metrics.text import RunState, metrics_text
from pipeline.runs.progress import Progressed

SAMPLE = re.compile(r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\} (-?[0-9.e+-]+)')
PROGRESSED = Progressed(2, 7, 9, {"OK": 5, "FETCH_ERROR": 2}, {"compute": 1.5}, {"batches": 3})
STATE = RunState('r"1\\', "f" * 8, 20, "2026-11-26T10:00:00+00:00", PROGRESSED)


def samples(text: str) -> dict[str, float]:
    """Name and labels -> value, by the grammar of OpenMetrics: families in one block each, the end is said."""
    lines = text.splitlines()
    assert lines[-1] == "# EOF"
    found, families, family = {}, set(), ""
    for line in lines[:-1]:
        if line.startswith("# TYPE "):
            family = line.split()[2]
            assert family not in families
            families.add(family)
        elif not line.startswith("# HELP "):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name.startswith(family)
            assert name.removeprefix(family) in ("", "_total", "_info")
            found[f"{name}{{{labels}}}"] = float(value)
    return found


def test_a_run_is_told_by_its_parts():
    found = samples(metrics_text(STATE, 1795687200.5))
    run = 'run_id="r\\"1\\\\"'
    assert found[f"beam_gradcam_manifest_lines{{{run}}}"] == 20
    assert found[f'beam_gradcam_images_total{{{run},status="OK"}}'] == 5
    assert found[f'beam_gradcam_images_total{{{run},status="FETCH_ERROR"}}'] == 2
    assert found[f'beam_gradcam_images_total{{{run},status="ZERO"}}'] == 0
    assert found[f"beam_gradcam_failures_total{{{run}}}"] == 2
    assert found[f"beam_gradcam_rows_total{{{run}}}"] == 9
    assert found[f'beam_gradcam_step_seconds_total{{{run},step="compute"}}'] == 1.5
    assert found[f"beam_gradcam_started_timestamp_seconds{{{run}}}"] == 1795687200
    assert found[f"beam_gradcam_running{{{run}}}"] == 1
    assert not any("exit_code" in name for name in found)


def job(folder, manifest) -> Config:
    model = colour_classifier()
    model.save(folder / "model.keras")
    return Config.model_validate(
        {
            "input": {"manifest": str(manifest)},
            "model": {"source": str(folder / "model.keras"), "class_names": list(NAMES),
                      "preprocessing": "minus_one_to_one", "check": 0},
            "overlays": {"policy": "none"},
            "output": {"path": str(folder / "out")},
        }
    )  # fmt: skip


@contextlib.contextmanager
def gateway():
    """A server that takes what is pushed; yields its URL and what came: (method, path, type, body)."""
    came = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            came.append((self.path, self.headers["Content-Type"], body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        server.server_close()


def test_a_run_leaves_its_last_metrics_in_the_file(tmp_path):
    manifest = write_pictures(tmp_path)
    assert launch(job(tmp_path, manifest), [], Console(quiet=True), f"{tmp_path}/job.prom") == 0
    found = samples((tmp_path / "job.prom").read_text())
    images = len(manifest.read_text().splitlines()) - 1
    assert sum(value for name, value in found.items() if name.startswith("beam_gradcam_images_total")) == images
    (code,) = [value for name, value in found.items() if name.startswith("beam_gradcam_exit_code")]
    (running,) = [value for name, value in found.items() if name.startswith("beam_gradcam_running")]
    assert (code, running) == (0, 0)
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["job.prom"]
    assert not list(tmp_path.glob(".job.prom*"))


def test_a_run_that_fails_says_so(tmp_path):
    manifest = write_pictures(tmp_path)
    for picture in tmp_path.rglob("*.png"):
        picture.unlink()
    assert launch(job(tmp_path, manifest), [], Console(quiet=True), f"{tmp_path}/job.prom") == 1
    found = samples((tmp_path / "job.prom").read_text())
    (code,) = [value for name, value in found.items() if name.startswith("beam_gradcam_exit_code")]
    assert code == 1


def test_a_push_gateway_is_told_at_the_start_and_at_the_end(tmp_path):
    with gateway() as (url, came):
        target = open_target(url, STATE)
        target.show(STATE)  # too soon after the first
        target.show(RunState("r1", "f", 20, STATE.started, PROGRESSED, exit_code=0))
    assert [path for path, *_ in came] == ["/metrics/job/beam_gradcam"] * 2
    assert all(kind.startswith("text/plain; version=0.0.4") for _, kind, _ in came)
    assert [samples(body)[next(name for name in samples(body) if "running" in name)] for *_, body in came] == [1, 0]


def test_a_path_of_ones_own_is_kept(tmp_path):
    with gateway() as (url, came):
        open_target(f"{url}/metrics/job/nightly/site/north", STATE)
    assert came[0][0] == "/metrics/job/nightly/site/north"


@pytest.mark.parametrize("place", ["/no/such/folder/job.prom", "http://127.0.0.1:9/"])
def test_metrics_that_cannot_be_written_are_refused_at_the_start(tmp_path, place):
    with pytest.raises(MetricsRefused, match=r"--metrics .*push gateway"):
        open_target(place, STATE)


def test_a_gateway_that_goes_away_does_not_stop_the_run(tmp_path, caplog):
    with gateway() as (url, _):
        target = open_target(url, STATE)
    target.show(RunState("r1", "f", 20, STATE.started, PROGRESSED, exit_code=0))
    assert "--metrics http://127.0.0.1" in caplog.text
