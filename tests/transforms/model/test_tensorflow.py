import os
import pathlib
import subprocess
import sys
import textwrap

from transforms.machine import available_cpus
from transforms.model import tensorflow


def test_settings_are_made_before_the_import():
    script = """
        import os
        import platform
        from transforms.model.tensorflow import tf

        if platform.machine() == "x86_64":  # without oneDNN there is no such convolution on a CPU
            tf.nn.conv2d(tf.ones([1, 3, 4, 4]), tf.ones([1, 1, 3, 2]), 1, "SAME", data_format="NCHW")
        print(os.environ["TF_ENABLE_ONEDNN_OPTS"], os.environ["TF_NUM_INTRAOP_THREADS"])
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    root = pathlib.Path(tensorflow.__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, cwd=root, stdout=subprocess.PIPE, check=True
    )
    assert answer.stdout.decode().split() == ["1", str(available_cpus())]


def test_what_the_user_has_set_is_left_alone(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    tensorflow.import_tensorflow.__wrapped__()
    assert (os.environ["TF_ENABLE_ONEDNN_OPTS"], os.environ["TF_NUM_INTRAOP_THREADS"]) == ("0", "1")
