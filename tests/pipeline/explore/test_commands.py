"""The commands as a user types them."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app

ROOT = Path(__file__).parents[3]


def invoke(*arguments):
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return answer


def test_the_page_is_served_until_it_is_interrupted_and_leaves_nothing_behind(output, tmp_path):
    pytest.importorskip("uvicorn", reason="pip install 'beam-gradcam[explore]'")
    command = [sys.executable, "-m", "pipeline", "explore", str(output), "--run", "r2", "--against", "r1"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as server:
        address = server.stdout.readline().strip()
        try:
            assert b"<!doctype html>" in urllib.request.urlopen(address).read()
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(address.partition("?")[0])
            assert list(tmp_path.iterdir())
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    assert list(tmp_path.iterdir()) == []


def test_without_its_packages_the_page_says_which(output, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "uvicorn" else find(name, *rest)
    )
    answer = invoke("explore", output)
    assert answer.exit_code == 2
    assert "the page needs uvicorn: pip install 'beam-gradcam[explore]'" in answer.stderr


def test_a_port_that_is_taken_is_refused(output):
    server = importlib.import_module("pipeline.explore.server")  # whose own mistakes are no reason to skip
    with server.listen(None) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        answer = invoke("explore", output, "--port", port)
    assert answer.exit_code == 2
    assert f"--port {port}: Address already in use" in answer.stderr


def test_a_run_that_there_is_not_is_refused(output):
    assert "has no run 'r9'; it has: r1, r2" in invoke("explore", output, "--against", "r9").stderr


def test_export_writes_a_file_and_says_where(output, tmp_path, rows):
    chosen = ["--run", "r1", "--where", "target_index = 0"]
    answer = invoke("export", "coco", output, "--to", tmp_path / "a" / "b.json", *chosen)
    assert answer.exit_code == 0
    assert answer.stdout.strip() == f"{tmp_path}/a/b.json"
    found = json.loads((tmp_path / "a" / "b.json").read_text())
    assert len(found["images"]) == sum(row["target_index"] == 0 for row in rows)
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["b.json"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["exe"], "there is no format 'exe'"),
        (["csv", "--where", "nothing = 1"], "the rows cannot be asked so"),
        (["csv", "--where", "true; DROP TABLE statistics"], "is not one SQL condition"),
        (["cleanlab"], "cleanlab needs the probability"),
    ],
)
def test_an_export_that_cannot_be_leaves_no_file(output, tmp_path, arguments, why):
    answer = invoke("export", arguments[0], output, "--run", "r1", "--to", tmp_path / "file", *arguments[1:])
    assert answer.exit_code == 2
    assert why in answer.stderr
    assert list(tmp_path.iterdir()) == []
