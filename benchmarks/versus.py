"""Section 3: beam-gradcam beside other tools: same weights, same images, same batch."""

import dataclasses
import functools
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.jobs import JobOfPhotos
from benchmarks.measure import Clock, Finding, at_least, ratios_of_seconds, seconds_of, several
from benchmarks.photos import Photos

_REPOSITORY = Path(__file__).parent.parent
_TIMES = 3  # batches of ours for one of theirs: ours are too short to time alone


@dataclasses.dataclass(frozen=True)
class _Peer:
    script: str
    packages: tuple[str, ...] = ()  # none: it runs in this environment
    further: tuple[str, ...] = ()  # without what they depend on


_PEERS = {
    "keras.io example": _Peer("keras_io"),
    "tf-keras-vis": _Peer("tf_keras_vis", ("tf-keras-vis", "tensorflow")),
    # It asks for tensorflow[and-cuda], several gigabytes that a CPU has no use for.
    "Xplique": _Peer(
        "xplique",
        ("tensorflow==2.20.*", "tf-keras==2.20.*", "tensorflow-probability<=0.25", "deprecated", "einops", "matplotlib",
         "opencv-python-headless", "scikit-image", "scikit-learn"),
        ("xplique==2.0.2",),
    ),
    "pytorch-grad-cam": _Peer("pytorch_grad_cam", ("grad-cam", "efficientnet-lite-pytorch")),
}  # fmt: skip


def peers(photos: Photos, folder: Path, environments: Path, rounds: int) -> Iterator[Finding]:
    """Time of each peer for a batch of the bundled model over ours; the naive loop also from files to files."""
    from benchmarks.models import BUNDLED, timed_model
    from transforms.model.load.bundled.packages import lite0_weights_path
    from transforms.model.load.bundled.torch_weights import read_state_dict

    folder.mkdir(parents=True, exist_ok=True)
    model = timed_model(BUNDLED, photos.batch(32), folder / "models")
    images, weights = folder / "images.npz", folder / "weights.npz"
    np.savez(images, images=model.images)
    np.savez(weights, **read_state_dict(lite0_weights_path()))

    def ours() -> float:
        return seconds_of(several(model.explain, _TIMES)) / _TIMES

    for name, peer in _PEERS.items():
        with _running(_python(peer, environments / peer.script), peer.script, images, weights) as theirs:
            found = ratios_of_seconds(theirs, ours, rounds)
        yield Finding("3 peers", f"{name} / ours, a batch", found, at_least(1.0))

    overlays = folder / "overlays"
    overlays.mkdir()
    some = Photos(photos.name, photos.paths[:32])
    job = JobOfPhotos(photos.repeated(folder / "many", 512), folder / "job")
    few = some.write_manifest(folder / "few.txt")
    with _running(sys.executable, "naive_loop", Path(few), weights, overlays) as theirs:
        found = ratios_of_seconds(theirs, functools.partial(_per_image, job, 512), rounds)
    yield Finding("3 peers", "naive loop / our job, files to files", found, at_least(5.0))


def _per_image(job: JobOfPhotos, count: int) -> float:
    return job.seconds(time.perf_counter) / count


def _python(peer: _Peer, environment: Path) -> str:
    """The interpreter that has the peer; its environment is made the first time and kept."""
    if not peer.packages:
        return sys.executable
    python, done = environment / "bin" / "python", environment / "complete"
    if not done.exists():
        venv.create(environment, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *peer.packages], check=True)
        if peer.further:
            subprocess.run([*install, "--no-deps", *peer.further], check=True)
        done.touch()
    return str(python)


@contextmanager
def _running(python: str, script: str, *arguments: Path) -> Iterator[Clock]:
    """A peer that is ready; the function that comes out has it do one batch and says how many seconds it took."""
    environment = os.environ | {
        "PYTHONPATH": str(_REPOSITORY),
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [python, "-m", f"benchmarks.peers.{script}", *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen(command, **pipes) as process:

        def answer() -> str:
            while line := process.stdout.readline():
                if line.strip() == "ready" or line[0].isdigit():
                    return line
            raise RuntimeError(f"{script} has ended: {process.wait()}")

        def one_batch() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            return float(answer())

        answer()
        yield one_batch
        process.stdin.close()
