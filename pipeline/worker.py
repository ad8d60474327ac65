"""A worker process on this machine: takes its share of the CPUs and GPUs, then is Beam's own worker.

python -m pipeline.worker WORKERS
"""

import os
import runpy
import subprocess
import sys
from collections.abc import MutableMapping

_OF_A_GPU = 0.9  # of its memory; the rest is what each process's CUDA context takes
GPU_MEGABYTES = "BEAM_GRADCAM_GPU_MEGABYTES"
"""The variable that bounds what TensorFlow takes of the GPU; see transforms.model.tensorflow."""


def take_share(environment: MutableMapping[str, str], workers: int, cpus: int, gpus: list[str]) -> None:
    """Set what TensorFlow reads at its import: an equal share of the CPUs, and of the GPUs where there are some.

    Where there are fewer GPUs than workers, those that share one have a bound of memory each: else the first would take
    what the others need. Beam names its workers ``worker_0``, ``worker_1`` and so on in ``WORKER_ID``.
    """
    threads = str(max(1, cpus // workers))
    environment["TF_NUM_INTRAOP_THREADS"] = environment["TF_NUM_INTEROP_THREADS"] = threads
    if not gpus:
        return
    place = int(environment["WORKER_ID"].rpartition("_")[2]) % len(gpus)
    if len(gpus) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[place]
    sharing = len(range(place, workers, len(gpus)))
    memory = megabytes_of_gpu(gpus[place]) if sharing > 1 else None
    if memory is not None:
        environment.setdefault(GPU_MEGABYTES, str(int(_OF_A_GPU * memory / sharing)))


def megabytes_of_gpu(gpu: str) -> int | None:
    """The memory of a GPU, by the name that CUDA_VISIBLE_DEVICES has for it, without loading CUDA.

    None where the driver's nvidia-smi is not there to ask: TensorFlow then takes memory as it needs it.
    """
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", f"--id={gpu}"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return int(answer) if answer.strip().isdigit() else None


def main() -> None:
    from transforms.machine import available_cpus, visible_gpus

    take_share(os.environ, int(sys.argv[1]), available_cpus(), visible_gpus(os.environ))
    sys.argv[1:] = []
    runpy.run_module("apache_beam.runners.worker.sdk_worker_main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
