"""``python -m benchmarks``: the table of what was reached and what is wanted; exit code 1 where something is missed."""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Finding
from benchmarks.photos import Photos, find_photos

SECTIONS = ("compute", "tokens", "classes", "peers", "whole", "far", "bare", "growth", "start", "gpu", "loaders")
_QUICK = ("compute", "classes", "growth")


def benchmarks(
    sections: Annotated[
        list[str] | None, typer.Argument(help=f"Some of {', '.join(SECTIONS)}; all if left out")
    ] = None,
    photos: Annotated[
        str | None, typer.Option(envvar="BENCHMARK_PHOTOS", help="Folder of photos; the bundled ones if left out")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each pair is timed")] = 5,
    peers_folder: Annotated[
        str, typer.Option("--peers", envvar="BENCHMARK_PEERS", help="Where the peers' environments are made and kept")
    ] = "~/.cache/beam-gradcam-benchmarks",
    json_file: Annotated[str | None, typer.Option("--json", help="Write all ratios to this file")] = None,
    quick: Annotated[
        bool, typer.Option(help="A small version of compute, classes and growth; never a failure")
    ] = False,
) -> None:
    """Time beam-gradcam against forward passes, floors and peers. Ratios only: the two of a pair run in turn."""
    unknown = set(sections or ()) - set(SECTIONS)
    if unknown:
        raise typer.BadParameter(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    from transforms.model.tensorflow import tf  # noqa: F401 - with oneDNN on, before anything else imports it

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    findings, loads, started = [], [os.getloadavg()[0]], time.time()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        chosen = sections or list(_QUICK if quick else SECTIONS)
        some = find_photos(photos)
        for finding in _findings(chosen, some, Path(temporary), rounds, Path(peers_folder).expanduser(), quick):
            findings.append(finding)
            loads.append(os.getloadavg()[0])
            console.print(f"{time.time() - started:5.0f} s  {_line(finding)}")
    _print_table(findings, some, loads, console)
    if json_file is not None:
        report = {"machine": _machine(), "load": loads, "photos": some.name, "rounds": rounds, "quick": quick}
        Path(json_file).write_text(json.dumps(report | {"findings": [f.as_json() for f in findings]}, indent=2))
    missed = [finding for finding in findings if not finding.is_met]
    raise typer.Exit(1 if missed and not quick else 0)


def _findings(
    sections: list[str], photos: Photos, folder: Path, rounds: int, peers_folder: Path, quick: bool
) -> Iterator[Finding]:
    if "compute" in sections:
        from benchmarks.compute import compute

        names = {"names": ("bundled",)} if quick else {}
        yield from compute(photos, folder / "models", 3 if quick else rounds, **names)
    if "tokens" in sections:
        from benchmarks.compute import tokens

        yield from tokens(photos, folder / "models", rounds)
    if "classes" in sections:
        from benchmarks.compute import classes

        yield from classes(photos, folder / "models", 3 if quick else rounds)
    if "peers" in sections:
        from benchmarks.versus import peers

        yield from peers(photos, folder / "peers", peers_folder, rounds)
    if "whole" in sections:
        from benchmarks.end_to_end import whole_job

        yield from whole_job(photos, folder, rounds)
    if "far" in sections:
        from benchmarks.far import far_store

        yield from far_store(photos, folder / "far", rounds)
    if "bare" in sections:
        from benchmarks.end_to_end import without_model

        yield from without_model(photos, folder, rounds)
    if "growth" in sections:
        from benchmarks.growth import growth, resumed

        yield from growth(folder / "growth", *((1, (1_000, 4_000)) if quick else (rounds,)))
        yield from resumed(folder / "resumed", 50_000 if quick else 1_000_000)
    if "start" in sections:
        from benchmarks.start import start

        yield from start(photos, folder / "start", rounds)
    if "loaders" in sections:
        from benchmarks.loaders import loaders

        yield from loaders(photos, folder / "loaders", rounds)
    if "gpu" in sections:
        from benchmarks.gpu import gpu, has_gpu

        if has_gpu():
            yield from gpu(photos, folder / "gpu", rounds)
        else:
            typer.echo("8 gpu: left out, TensorFlow sees no GPU", err=True)


def _line(finding: Finding) -> str:
    return f"{finding.section}: {finding.what}: {finding.median:.2f}"


def _print_table(findings: list[Finding], photos: Photos, loads: list[float], console: Console) -> None:
    table = Table(title=f"{_machine()['cpu']}, {os.cpu_count()} cores; {photos.name}", title_justify="left")
    for name in ("section", "what", "median", "range", "target", ""):
        table.add_column(name, justify="right" if name in ("median", "range") else "left")
    for finding in findings:
        verdict = "" if finding.target is None else "met" if finding.is_met else "MISSED"
        spread = f"{min(finding.ratios):.2f} to {max(finding.ratios):.2f}"
        target = "" if finding.target is None else str(finding.target)
        table.add_row(finding.section, finding.what, f"{finding.median:.2f}", spread, target, verdict)
    console.print(table)
    console.print(f"load average from {min(loads):.1f} to {max(loads):.1f}")


def _machine() -> dict[str, object]:
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


if __name__ == "__main__":
    typer.run(benchmarks)
