"""TensorFlow, imported in one way: ``from transforms.model.tensorflow import tf``.

It is imported at the first look into ``tf``; what must be set before is set here, once.
"""

import contextlib
import functools
import logging
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from transforms.machine import available_cpus, keep_freed_memory

_BANNER = (b"WARNING: All log messages before absl::InitializeLog()", b"I0000 ")
_log = logging.getLogger(__name__)


@functools.cache
def import_tensorflow() -> Any:
    """Import TensorFlow with oneDNN on, as many threads as this process may use, and GPU memory taken as needed.

    Environment variables that are set already are left as they are. Where TensorFlow was imported before, by
    somebody else, the settings that come too late are reported in the log.
    """
    # What TensorFlow's kernels have to say is raised as an exception as well.
    wants_log = "TF_CPP_MIN_LOG_LEVEL" in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Without AVX-512 TensorFlow leaves oneDNN off, which costs a factor of about two.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Importing TensorFlow imports Keras, which may be set to a backend that is not even there.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    threads = str(available_cpus())
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", threads)
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", threads)
    keep_freed_memory()

    with contextlib.nullcontext() if wants_log else _without_banner():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    if not gpus and pathlib.Path("/dev/nvidia0").exists():
        _log.warning(
            "there is an NVIDIA GPU, but TensorFlow does not use it; install beam-gradcam[gpu], and set "
            "TF_CPP_MIN_LOG_LEVEL=0 to see what it lacks"
        )
    bound = os.environ.get("BEAM_GRADCAM_GPU_MEGABYTES")  # set where several workers share a GPU
    for gpu in gpus:
        try:
            if bound:
                share = [tf.config.LogicalDeviceConfiguration(memory_limit=int(bound))]
                tf.config.set_logical_device_configuration(gpu, share)
            else:
                tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError as error:  # the context exists already
            _log.warning("TensorFlow may take all memory of %s: %s", gpu.name, error)
    return tf


@contextlib.contextmanager
def _without_banner() -> Iterator[None]:
    """Keep from stderr what TensorFlow writes at every import before its log level counts; all else passes."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            written.seek(0)
            for line in written:
                if not line.startswith(_BANNER):
                    os.write(2, line)


class _AtFirstLook:
    def __getattr__(self, name: str) -> Any:
        value = getattr(import_tensorflow(), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _AtFirstLook()
