"""The job on a real Spark: a standalone master, two workers, an SDK worker pool beside each."""

import engines
import pytest
import runs

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
