"""What this process may use of its machine, and how its memory is kept."""

import ctypes
import glob
import math
import os
import pathlib
from collections.abc import Mapping

# <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def available_cpus() -> int:
    """CPUs that this process may use: its affinity mask, or less where its control group has a quota."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota_file = pathlib.Path("/sys/fs/cgroup/cpu.max")
    if quota_file.exists():
        quota, period = quota_file.read_text().split()
        if quota != "max":
            cpus = min(cpus, math.ceil(int(quota) / int(period)))
    return max(cpus, 1)


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs as CUDA_VISIBLE_DEVICES names them, found without loading CUDA."""
    if "CUDA_VISIBLE_DEVICES" in environment:
        return [gpu.strip() for gpu in environment["CUDA_VISIBLE_DEVICES"].split(",") if gpu.strip()]
    return [str(number) for number in range(len(glob.glob("/dev/nvidia[0-9]*")))]


def keep_freed_memory() -> None:
    """Let glibc keep the buffers of pictures and activations from one batch to the next.

    By default it returns each to the kernel, and a CPU spends a quarter of a MobileNet batch on page faults.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only; musl and macOS have none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_M_TOP_PAD, 64 << 20)
