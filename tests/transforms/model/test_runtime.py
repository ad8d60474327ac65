import os
import pathlib
import subprocess
import sys
import textwrap

from transforms.model import runtime


def test_settings_are_made_before_the_import():
    script = """
        import os
        import platform
        from transforms.model.runtime import import_tensorflow

        tf = import_tensorflow()
        if platform.machine() == "x86_64":  # without oneDNN there is no such convolution on a CPU
            tf.nn.conv2d(tf.ones([1, 3, 4, 4]), tf.ones([1, 1, 3, 2]), 1, "SAME", data_format="NCHW")
        print(os.environ["TF_ENABLE_ONEDNN_OPTS"], os.environ["TF_NUM_INTRAOP_THREADS"])
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    root = pathlib.Path(runtime.__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, cwd=root, stdout=subprocess.PIPE, check=True
    )
    assert answer.stdout.decode().split() == ["1", str(runtime.available_cpus())]


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
