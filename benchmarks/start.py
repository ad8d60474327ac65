"""Section 7: from the command to the first result, and what a run over finished work costs."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Finding, ratios_of_seconds, seconds_of
from benchmarks.photos import Photos

_IMPORTS = "import apache_beam, tensorflow"


def start(photos: Photos, folder: Path, rounds: int) -> Iterator[Finding]:
    """Runs of the command, in processes of their own, over the time that importing Beam and TensorFlow takes alone."""
    folder.mkdir(parents=True)
    one = Photos("one photo", photos.paths[:1]).write_manifest(folder / "one.txt")
    runs = itertools.count()

    def imports() -> float:
        return _seconds("-c", _IMPORTS)

    def first() -> float:
        return _run(one, folder / f"out-{next(runs)}")

    def next_run() -> float:
        return _run(one, folder / "kept", "run.resume=false")

    def finished() -> float:
        return _run(one, folder / "kept")

    _run(one, folder / "kept")
    for what, run in (
        ("new output: model compiled, one image explained", first),
        ("model compiled before: one image explained", next_run),
        ("everything done before", finished),
    ):
        yield Finding("7 start", f"{what} / imports alone", ratios_of_seconds(run, imports, rounds))


def _run(manifest: str, output: Path, *settings: str) -> float:
    given = (f"input.manifest={manifest}", f"output.path={output}", *settings)
    return _seconds("-m", "pipeline", "run", *itertools.chain(*(("--set", setting) for setting in given)))


def _seconds(*arguments: str) -> float:
    return seconds_of(lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True))
