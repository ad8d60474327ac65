"""The job on a real Spark: a standalone master, two workers, an SDK worker pool beside each."""

import os
import signal

import engines
import pytest
import runs
from launcher import launchers
from waiting import wait_until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(engines.spark_missing()), reason=str(engines.spark_missing())),
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spark")
    engine = engines.start_spark(folder, engines.free_port(), engines.free_port(), runs.MODULES)
    yield engine
    engine.stop()


def test_the_table_is_that_of_the_local_runner_and_both_workers_worked(spark, photos, expected, tmp_path):
    runs.run_job(tmp_path, "out", photos, spark.options)
    runs.assert_same_table(runs.rows_of(tmp_path, "out"), expected)
    assert runs.temporary_files(tmp_path / "out") == []
    assert {note["pool"] for note in runs.notes_of(tmp_path, "out")} == {"1", "2"}


def test_a_real_model_gives_the_table_of_the_local_runner(spark, bundled, tmp_path):
    runs.assert_same_table(runs.run_bundled(tmp_path / "out", spark.options), bundled, rel=1e-4)


def count_applications(engine) -> int | None:
    """How many are at work; None where the master does not answer."""
    answer = engines.rest(engines.spark_web_port(engine), "/json/")
    return len(answer["activeapps"]) if answer else None


def test_ctrl_c_ends_the_application_and_the_same_command_finishes_it(spark, photos, expected, gate, tmp_path):
    command = runs.command_line(photos, tmp_path, spark.options)
    with launchers(tmp_path) as launch:
        pid = launch.start(*command, gate=gate)
        gate.let(2)
        runs.wait_for_parts(tmp_path, "out", 2)
        wait_until(lambda: count_applications(spark) == 1, runs.JOB_SECONDS)
        os.killpg(pid, signal.SIGINT)
        assert launch.wait(pid) == 130, launch.log
        wait_until(lambda: count_applications(spark) == 0, runs.JOB_SECONDS)
        assert runs.status_of(tmp_path / "out")["state"] == "interrupted"
        assert launch.run(*command) == 1, launch.log
        assert 0 < runs.outcome_of(launch.log)["explained_now"] < 62
    runs.assert_same_table(runs.rows_of(tmp_path, "out"), expected)
