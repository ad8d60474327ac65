"""The job on Prism, Beam's runner in Go: a cheap proof that the graph is portable."""

import engines
import pytest
import runs

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(engines.prism_missing()), reason=str(engines.prism_missing())),
]


@pytest.mark.parametrize("environment", ["LOOPBACK", "EXTERNAL"])
def test_the_table_is_that_of_the_local_runner(photos, expected, tmp_path, environment):
    engine = engines.start_prism(tmp_path / "prism", engines.free_port(), runs.MODULES)
    try:
        options = engine.options if environment == "EXTERNAL" else engine.options[:2]  # Prism's default is LOOPBACK
        runs.run_job(tmp_path, "out", photos, options)
    finally:
        engine.stop()
    runs.assert_same_table(runs.rows_of(tmp_path, "out"), expected)
    assert runs.temporary_files(tmp_path / "out") == []


def test_a_real_model_gives_the_table_of_the_local_runner(bundled, tmp_path):
    engine = engines.start_prism(tmp_path / "prism", engines.free_port(), runs.MODULES)
    try:
        rows = runs.run_bundled(tmp_path / "out", engine.options)
    finally:
        engine.stop()
    runs.assert_same_table(rows, bundled, rel=1e-4)
