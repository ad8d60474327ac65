import subprocess
import sys

import pytest


def test_a_broken_installation_is_not_taken_for_failed_images():
    code = "import sys; sys.argv = ['beam-gradcam', 'run']; sys.modules['pipeline.launch.run'] = None\n"
    code += "import pipeline.cli; pipeline.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 70
    assert "import of pipeline.launch.run halted" in done.stderr


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_what_beam_says_of_an_interruption_is_not_passed_on(number):
    code = f"""
import logging, signal, sys, types
signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests themselves run in the background
def launch(*_):
    try:
        logging.getLogger("apache_beam.worker").error("before")
        signal.raise_signal(signal.{number})
    finally:  # as a thread that commits a part when the lease is gone already
        logging.getLogger("apache_beam.worker").error("after")
module = types.SimpleNamespace(launch=launch, LateMistakeError=type("LateMistakeError", (Exception,), {{}}))
sys.argv, sys.modules["pipeline.launch.run"] = ["beam-gradcam", "run"], module
import pipeline.cli
pipeline.cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()) == (
        130,
        [
            "ERROR apache_beam.worker: before",
            "interrupted; what was committed stays, and the same command goes on from there",
        ],
    )
