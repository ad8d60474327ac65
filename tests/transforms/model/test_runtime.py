import os
import subprocess
import sys

from transforms.model import runtime


def test_environment_is_set_before_the_import():
    script = (
        "from transforms.model.runtime import import_tensorflow; tf = import_tensorflow(); import os;"
        "from tensorflow.python.framework import test_util;"
        "assert test_util.IsMklEnabled() or os.uname().machine != 'x86_64';"
        "print(os.environ['TF_ENABLE_ONEDNN_OPTS'], os.environ['TF_NUM_INTRAOP_THREADS'])"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    root = os.path.dirname(os.path.dirname(os.path.dirname(runtime.__file__)))
    answer = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["1", str(runtime.available_cpus())]


def test_what_the_user_has_set_is_left_alone(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    runtime.import_tensorflow.__wrapped__()
    assert (os.environ["TF_ENABLE_ONEDNN_OPTS"], os.environ["TF_NUM_INTRAOP_THREADS"]) == ("0", "1")


def test_a_quota_of_the_control_group_counts(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(runtime.pathlib.Path, "exists", lambda _: True)
    monkeypatch.setattr(runtime.pathlib.Path, "read_text", lambda _: "250000 100000\n")
    assert runtime.available_cpus() == 3
    monkeypatch.setattr(runtime.pathlib.Path, "read_text", lambda _: "max 100000\n")
    assert runtime.available_cpus() == 8
