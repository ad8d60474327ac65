"""configs/: the files for every night."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.config.read import load_config
from transforms.records import Status

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_nightly_config_takes_up_what_is_new_changed_or_was_not_there():
    config = load_config(str(CONFIGS / "nightly.yaml"))
    assert (config.run.id, config.run.resume, config.input.detect_changes) == ("auto", True, True)
    assert config.run.retry_failed == [Status.FETCH_ERROR]
    assert config.run.max_failures == 100


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path):
    for name in ("beam-gradcam.service", "beam-gradcam.timer"):
        shutil.copy(CONFIGS / name, tmp_path)
    units = [str(tmp_path / name) for name in ("beam-gradcam.service", "beam-gradcam.timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
