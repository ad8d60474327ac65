"""The one way in which TensorFlow is imported: what must be set before its import is set here, once."""

import ctypes
import functools
import logging
import math
import os
import pathlib
from typing import Any

_log = logging.getLogger(__name__)

# <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


@functools.cache
def import_tensorflow() -> Any:
    """Import TensorFlow with oneDNN on, as many threads as this process may use, and GPU memory taken as needed.

    Environment variables that are set already are left as they are. Where TensorFlow was imported before, by
    somebody else, the settings that come too late are reported in the log.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Without AVX-512 TensorFlow leaves oneDNN off, which costs a factor of about two.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    threads = str(available_cpus())
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", threads)
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", threads)
    _keep_freed_memory()

    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError as error:  # the context exists already
            _log.warning("TensorFlow may take all memory of %s: %s", gpu.name, error)
    return tf


def available_cpus() -> int:
    """CPUs that this process may use: its affinity mask, or less where its control group has a quota."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota_file = pathlib.Path("/sys/fs/cgroup/cpu.max")
    if quota_file.exists():
        quota, period = quota_file.read_text().split()
        if quota != "max":
            cpus = min(cpus, math.ceil(int(quota) / int(period)))
    return max(cpus, 1)


def _keep_freed_memory() -> None:
    """Let glibc keep the activations' buffers between batches.

    By default it returns each to the kernel and a CPU spends a quarter of a MobileNet batch on page faults.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only; musl and macOS have none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_M_TOP_PAD, 64 << 20)
