"""Several worker processes on one machine, Beam's options, and what is sent to a cluster."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import jobs
import pytest
import runs
from apache_beam.options.pipeline_options import DebugOptions, DirectOptions, GoogleCloudOptions, WorkerOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms.environments import ExternalEnvironment
from rich.console import Console
from typer.testing import CliRunner
from waiting import wait_until

from pipeline.cli import app
from pipeline.config.read import load_config
from pipeline.config.schema import Config, ConfigError
from pipeline.graph import build_graph
from pipeline.launch.execution import WorkerLostError
from pipeline.launch.run import launch
from pipeline.launch.runners import is_local, pipeline_options, runner_of
from pipeline.worker import GPU_MEGABYTES, take_share
from transforms.machine import visible_gpus

ROOT = Path(__file__).resolve().parents[3]


def with_options(*settings: str) -> Config:
    return load_config(None, settings)


def test_options_of_the_config_reach_beam_and_those_of_the_command_line_win():
    config = with_options("beam={runner: FlinkRunner, flink_master: a:1, parallelism: 4, flink_submit_uber_jar: true,"
                          " experiments: [x, y], flink_version: null}")  # fmt: skip
    options = pipeline_options(config, ["--flink_master=b:2"])
    assert not is_local(options)
    assert runner_of(options) == "FlinkRunner"
    everything = options.get_all_options(retain_unknown_options=True)
    assert everything["flink_master"] == "b:2"
    assert everything["flink_submit_uber_jar"] is True
    assert everything["experiments"] == ["x", "y"]
    assert everything["flink_version"] == "2.2"
    assert everything["parallelism"] == 4  # known to Flink's job server alone


def test_a_mistaken_option_is_refused():
    with pytest.raises(ConfigError, match="runer: not an option of Beam's local runner; did you mean runner"):
        pipeline_options(Config(), ["--runer=FlinkRunner"])
    for runner in ("FlinkRuner", "os.FlinkRunner", "nowhere.FlinkRunner"):
        with pytest.raises(ConfigError, match=f"runner: {runner} cannot be used: "):
            pipeline_options(Config(), [f"--runner={runner}"])
    with pytest.raises(ConfigError, match=r"beam: .*without hyphens, such as flink_master"):
        with_options("beam={flink-master: a}")
    with pytest.raises(ConfigError, match=r"run\.workers: 2 is for this machine's own runner; FlinkRunner has its own"):
        pipeline_options(with_options("run.workers=2"), ["--runner=FlinkRunner"])


def test_beam_options_need_no_config_file():
    ended = CliRunner().invoke(app, ["run", "--set", "run.id=r1", "--", "--runer=FlinkRunner"])
    assert ended.exit_code == 2
    assert "runer: not an option of Beam's local runner" in json.loads(ended.stdout.splitlines()[-1])["error"]


def test_workers_become_processes_of_the_local_runner():
    options = pipeline_options(with_options("run.workers=3"), [])
    assert options.view_as(DirectOptions).direct_num_workers == 3
    assert options.view_as(DirectOptions).direct_running_mode == "multi_processing"
    environment = runner_of(options)._default_environment
    assert environment.command_string == f"exec {sys.executable} -m pipeline.worker 3"


@pytest.mark.parametrize(("workers", "cpus", "threads"), [(2, 8, "4"), (3, 8, "2"), (4, 2, "1")])
def test_the_cpus_are_divided(workers, cpus, threads):
    environment = {"WORKER_ID": "worker_1", "TF_NUM_INTRAOP_THREADS": "8"}
    take_share(environment, workers, cpus, gpus=["0"])
    assert environment["TF_NUM_INTRAOP_THREADS"] == environment["TF_NUM_INTEROP_THREADS"] == threads
    assert "CUDA_VISIBLE_DEVICES" not in environment


def test_each_worker_has_a_gpu_of_its_own():
    gpus = visible_gpus({"CUDA_VISIBLE_DEVICES": "4, 6"})
    assert gpus == ["4", "6"]
    seen = []
    for number in range(3):
        environment = {"WORKER_ID": f"worker_{number}"}
        take_share(environment, 3, 8, gpus)
        seen.append(environment["CUDA_VISIBLE_DEVICES"])
    assert seen == ["4", "6", "4"]


def test_workers_that_share_a_gpu_have_a_bound_of_memory_each(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\n[ "$3" = --id=6 ] && echo 80000 || echo 40000\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    bounds = []
    for number in range(5):
        environment = {"WORKER_ID": f"worker_{number}"}
        take_share(environment, 5, 8, ["4", "6"])
        bounds.append(environment[GPU_MEGABYTES])
    assert bounds == ["12000", "36000"] * 2 + ["12000"]  # three share the first, two the second; nine tenths of it
    environment = {"WORKER_ID": "worker_0"}
    take_share(environment, 1, 8, ["4"])
    assert GPU_MEGABYTES not in environment
    program.write_text("#!/bin/sh\nexit 9\n")
    take_share(environment, 2, 8, ["4"])
    assert GPU_MEGABYTES not in environment


@pytest.mark.slow
def test_two_processes_give_the_table_of_one(tmp_path):
    lines = runs.write_photos(tmp_path, 24)
    runs.run_job(tmp_path, "one", lines, [])
    runs.run_job(tmp_path, "two", lines, ["--direct_num_workers=2", "--direct_running_mode=multi_processing"])
    runs.assert_same_table(runs.rows_of(tmp_path, "two"), runs.rows_of(tmp_path, "one"))
    assert len({note["pid"] for note in runs.notes_of(tmp_path, "one")}) == 1
    assert len({note["pid"] for note in runs.notes_of(tmp_path, "two")}) == 2


def workers_of(folder: Path, name: str) -> list[int]:
    """The processes whose model has been asked for something."""
    return sorted({note["pid"] for note in runs.notes_of(folder, name)})


def test_a_killed_worker_ends_the_run_and_a_rerun_resumes(gate, tmp_path):
    lines = runs.write_photos(tmp_path, 24)
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    job = runs.start_job(tmp_path, "out", lines, options, gate)
    wait_until(lambda: len(workers_of(tmp_path, "out")) == 2)
    gate.let(2)
    runs.wait_for_parts(tmp_path, "out", 2, job)
    worker, other = workers_of(tmp_path, "out")
    os.kill(worker, signal.SIGKILL)
    assert job.wait(runs.JOB_SECONDS) == jobs.EXIT_STOPPED
    log = (tmp_path / "out.log").read_text()
    assert f"stopped: {WorkerLostError.__name__}: Worker subprocess exited with return code -9" in log
    assert "set run.workers or explain.batch_size lower" in log
    wait_until(lambda: not Path(f"/proc/{other}").exists())  # no process of the run stays behind
    before = {part: part.stat().st_mtime_ns for part in tmp_path.glob("out/statistics/*/*.parquet")}
    assert 0 < len(runs.rows_of(tmp_path, "out")) < 24
    runs.run_job(tmp_path, "out", lines, [])
    assert [row["uri"] for row in runs.rows_of(tmp_path, "out")] == sorted(lines)
    assert {part: part.stat().st_mtime_ns for part in before} == before  # what was there was not made again


def test_dataflow_options_parse_and_the_graph_of_a_million_images_is_that_of_ten(tmp_path):
    options = pipeline_options(load_config(str(ROOT / "configs" / "dataflow.yaml")), ["--project=p", "--region=r"])
    cloud, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    assert cloud.dataflow_service_options == ["worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver"]
    assert worker.machine_type == "n1-standard-8"
    assert "no_use_multiple_sdk_containers" in options.view_as(DebugOptions).experiments
    assert options.get_all_options()["sdk_location"] == "container"
    sizes = []
    for images, buckets in ((10, 1), (1_000_000, 1000)):
        pipeline = beam.Pipeline()
        lines = [f"gs://bucket/{i:07d}.jpg" for i in range(images)]
        build_graph(pipeline, jobs.job_of(str(tmp_path), "out", lines, buckets))
        sizes.append(len(pipeline.to_runner_api().SerializeToString()))
    assert sizes[1] - sizes[0] < 100
    assert sizes[1] < 40_000  # a kilobyte or so for each of 32 steps, most of them Beam's; no step has more than 2.2


@pytest.fixture
def clean_venv(tmp_path):
    """The wheel alone, without the source tree; its dependencies come from this environment, as from an image."""
    source = tmp_path / "source"  # in the source tree itself, what older wheels left in build/ would be in this one
    for name in ("pipeline", "transforms"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("beam_gradcam-*.whl")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run(
        [venv / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True
    )
    (site,) = venv.glob("lib/python*/site-packages")
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(packages)  # a .pth in it, such as an editable install, is not followed
    return venv


def is_listening(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("localhost", port)) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_workers_from_the_wheel_in_a_clean_environment_do_the_job(clean_venv, tmp_path, monkeypatch):
    python = str(clean_venv / "bin" / "python")
    environment = {"PATH": f"{clean_venv / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    code = "import pipeline, transforms.explain.shard as e; print(pipeline.__file__, e.__file__)"
    shown = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert all(str(clean_venv) in path for path in shown.stdout.split())
    with socket.socket() as listener:
        listener.bind(("", 0))
        port = listener.getsockname()[1]
    external = FnApiRunner(default_environment=ExternalEnvironment(f"localhost:{port}"))
    monkeypatch.setattr("pipeline.launch.execution.runner_of", lambda options: external)
    lines = runs.write_photos(tmp_path, 3)
    (tmp_path / "manifest.txt").write_text("\n".join(lines))
    config = with_options(f"input.manifest={tmp_path}/manifest.txt", f"output.path={tmp_path}/out", "model.source=none")
    pool = subprocess.Popen(
        [python, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"],
        cwd=tmp_path, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: is_listening(port))
        assert launch(config, [], Console(stderr=True)) == 0
    finally:
        os.killpg(pool.pid, signal.SIGKILL)
        pool.wait()
    assert [row["uri"] for row in runs.rows_of(tmp_path, "out")] == sorted(lines)
