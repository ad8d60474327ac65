"""What came of a run: its counts, checked against the manifest, and the table at the end."""

import dataclasses
import importlib.metadata
import platform
from collections.abc import Collection

from rich.console import Console
from rich.table import Table

from pipeline.config import Config, redacted
from pipeline.job import Job
from pipeline.runs import CORRECTED, Progressed, Summary, utc_now
from transforms.explain import GUARDED_CHANNELS, UNKNOWN_LABELS, WAITING, WHOLE
from transforms.records import Status
from transforms.storage import Storage
from transforms.table import SCHEMA_VERSION, TableLocation, list_parts, read_totals

_PACKAGES = ("beam-gradcam", "apache-beam", "tensorflow", "numpy", "opencv-python-headless", "pillow", "pyarrow")


CONFLICTS = "conflicting_labels"
"""The event of a run for each image whose lines have different labels."""


class LostImagesError(RuntimeError):
    """Images of the manifest have no rows although the job ended: a defect, never to be passed over."""


def summarize(
    config: Config, job: Job, progressed: Progressed, started: str, prepare_seconds: float, run_seconds: float
) -> Summary:
    """The summary of a run whose graph has ended.

    Raises:
        LostImagesError: the lines of the manifest are not the images with rows plus the duplicates.
    """
    totals = read_totals(job.settings.table, job.storage)
    accounted = progressed.images + totals.done + totals.duplicates
    if job.survey.count != accounted:
        raise LostImagesError(
            f"{job.manifest.shown} has {job.survey.count} lines, but {progressed.images} images explained + "
            f"{totals.done} done before + {totals.duplicates} duplicates = {accounted}; if the manifest changed during "
            "the run, run again"
        )
    images = totals.planned + totals.done
    failures = progressed.failures + totals.done_failed
    table = job.settings.table
    split = time_split(progressed.seconds)
    return Summary(
        run_id=table.run_id,
        fingerprint=table.fingerprint,
        schema_version=SCHEMA_VERSION,
        started=started,
        finished=utc_now(),
        inputs=job.survey.count,
        duplicates=totals.duplicates,
        images=images,
        done_before=totals.done,
        explained_now=progressed.images,
        rows_now=progressed.rows,
        statuses_now={status: progressed.statuses.get(status, 0) for status in Status},
        failures=failures,
        failure_rate=failures / images,
        prepare_seconds=round(prepare_seconds, 3),
        run_seconds=round(run_seconds, 3),
        images_per_second=round(progressed.images / run_seconds, 2),
        step_seconds={step: s for step, s in progressed.seconds.items() if step not in (WAITING, WHOLE)},
        time_split=split,
        bottleneck=max(split, key=split.__getitem__) if split else None,
        events=progressed.events | ({CONFLICTS: totals.conflicts} if totals.conflicts else {}),
        statistics=table.layout.statistics,
        overlays=table.run.overlays if job.settings.overlays else None,
        model={
            "source": job.card.source,
            "target_layer": job.card.target_layer,
            "output_kind": job.card.output_kind,
            "method": job.card.way,
            "notes": [*job.notes, *job.card.notes],
        },
        versions={"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        config=redacted(config),
        conflict=totals.conflict,
        check=None if job.check is None else dataclasses.asdict(job.check),
    )


def check_parts(expected: Collection[str], table: TableLocation, storage: Storage) -> None:
    """Raises LostImagesError where parts that were there during the run no longer are."""
    lost = set(expected).difference(list_parts(table.layout.statistics, storage))
    if lost:
        raise LostImagesError(
            f"{len(lost)} parts have vanished from {table.layout.statistics} during the run, {min(lost)} for one; "
            "the same command explains their images again"
        )


def time_split(seconds: dict[str, float]) -> dict[str, float]:
    """Where the time of the shards went, as shares that add up to 1: what the others wait for is the bottleneck.

    While the model waits for images, fetch and decode are too slow; while it computes, it is the model itself; the rest
    is waiting for rows and overlays to be made and written.
    """
    whole = seconds.get(WHOLE, 0.0)
    if not whole:
        return {}
    waiting, compute = seconds.get(WAITING, 0.0) / whole, seconds.get("compute", 0.0) / whole
    shares = {"fetch and decode": waiting, "model": compute, "rows and overlays": max(1 - waiting - compute, 0.0)}
    return {stage: round(share, 3) for stage, share in shares.items()}


def print_summary(summary: Summary, uri: str, console: Console) -> None:
    """A short table for a person."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("images", f"{summary.images:,}" + _aside(summary.duplicates, "duplicate lines"))
    table.add_row("explained now", f"{summary.explained_now:,}" + _aside(summary.done_before, "done before"))
    table.add_row("rows now", f"{summary.rows_now:,}")
    for status, count in summary.statuses_now.items():
        if count and status != Status.OK:
            table.add_row(f"  {status}", f"{count:,}")
    if summary.failures:
        table.add_row("failed", f"{summary.failures:,} ({summary.failure_rate:.2%})")
    if unknown := summary.events.get(UNKNOWN_LABELS):
        table.add_row("unknown labels", f"{unknown:,}: {_how_to_mend(summary)}")
    if conflicts := summary.events.get(CONFLICTS):
        table.add_row("several labels", f"{conflicts:,} images, of which the first line's counts: {summary.conflict}")
    if corrected := summary.events.get(CORRECTED):
        table.add_row("corrected", f"{corrected:,} images done before, after the manifest")
    if guarded := summary.events.get(GUARDED_CHANNELS):
        table.add_row("guarded channels", f"{guarded:,}: their weights could not be computed and count as 0")
    if summary.explained_now:
        table.add_row("speed", f"{summary.images_per_second:.1f} images/s over {summary.run_seconds:.1f} s")
    if summary.bottleneck:
        share = summary.time_split[summary.bottleneck]
        table.add_row("bottleneck", f"{summary.bottleneck}: {share:.0%} of the time is spent on it or waiting for it")
    table.add_row("statistics", summary.statistics)
    if summary.overlays and summary.explained_now:
        table.add_row("overlays", summary.overlays)
    table.add_row("summary", uri)
    console.print(table)


def _how_to_mend(summary: Summary) -> str:
    if summary.model.get("output_kind") == "value":
        return "label_value is NULL there; the model gives values, which labels must be"
    return "is_correct is NULL there; compare them with model.class_names"


def _aside(count: int, what: str) -> str:
    return f" (and {count:,} {what})" if count else ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
