"""A worker process on this machine: takes its share of the CPUs and GPUs, then is Beam's own worker.

python -m pipeline.worker WORKERS
"""

import os
import runpy
import sys
from collections.abc import MutableMapping


def take_share(environment: MutableMapping[str, str], workers: int, cpus: int, gpus: list[str]) -> None:
    """Set what TensorFlow reads at its import: an equal share of the CPUs, and one GPU where there are several.

    Beam names its workers ``worker_0``, ``worker_1`` and so on in ``WORKER_ID``.
    """
    threads = str(max(1, cpus // workers))
    environment["TF_NUM_INTRAOP_THREADS"] = environment["TF_NUM_INTEROP_THREADS"] = threads
    if len(gpus) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[int(environment["WORKER_ID"].rpartition("_")[2]) % len(gpus)]


def main() -> None:
    from transforms.machine import available_cpus, visible_gpus

    take_share(os.environ, int(sys.argv[1]), available_cpus(), visible_gpus(os.environ))
    sys.argv[1:] = []
    runpy.run_module("apache_beam.runners.worker.sdk_worker_main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
