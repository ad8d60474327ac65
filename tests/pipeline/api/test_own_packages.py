"""Somebody else's package of the name ``transforms`` or ``pipeline`` is named by its path."""

import os
import subprocess
import sys
from pathlib import Path

import beam_gradcam
import pytest

ROOT = Path(beam_gradcam.__file__).parents[1]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    paths = (str(folder), str(ROOT), str(ROOT.parents[1]))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=folder)


@pytest.mark.parametrize("name", ["transforms", "pipeline"])
@pytest.mark.parametrize("form", ["package", "module", "namespace"])
def test_a_foreign_package_in_front_is_named(tmp_path, name, form):
    if form == "module":
        (tmp_path / f"{name}.py").write_text("1 / 0")  # it is not imported
        path = tmp_path / f"{name}.py"
    else:
        (tmp_path / name).mkdir()
        (tmp_path / name / ("__init__.py" if form == "package" else "other.py")).write_text("1 / 0")
        path = tmp_path / name
    ended = run(tmp_path, "-m", "beam_gradcam", "--help")
    if form == "namespace":  # Python prefers a package with __init__.py, wherever it is
        assert ended.returncode == 0, ended.stderr
        return
    assert ended.returncode == 2
    assert f"needs its own package {name}, but the one that Python finds first is {path}" in ended.stderr
    assert "Traceback" not in ended.stderr
    imported = run(tmp_path, "-c", "import beam_gradcam as bg; bg.open_model")
    assert f"ForeignPackageError: beam-gradcam needs its own package {name}" in imported.stderr


def test_its_own_packages_pass(tmp_path):
    assert run(tmp_path, "-m", "beam_gradcam", "--help").returncode == 0
