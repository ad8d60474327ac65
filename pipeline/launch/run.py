"""Put a job on a runner, show its progress, and say what came of it."""

import dataclasses
import json
import threading
import time
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from pipeline.config import Config, redacted
from pipeline.exit_codes import ExitCode
from pipeline.job import Job, prepare_job
from pipeline.launch.execution import execute
from pipeline.launch.runners import local_workers, pipeline_options
from pipeline.launch.summary import check_parts, print_summary, summarize
from pipeline.methods import settle_method
from pipeline.metrics import MetricsReporter
from pipeline.runs import (
    CORRECTED,
    Lease,
    Outdated,
    PartWatch,
    ProgressDisplay,
    Summary,
    close_run,
    correct_images,
    forget_images,
    open_run,
)
from pipeline.terminal import say_result
from transforms.explain import why_stopped
from transforms.manifest import ManifestError
from transforms.storage import Doors, StateError, Storage, patiently
from transforms.table import TableLocation, list_parts, write_earlier_parts


class LateMistakeError(RuntimeError):
    """The manifest has a mistake that a worker has found. The message names file and line."""


class BrokenOutputError(RuntimeError):
    """Something else writes to the output while the job runs. The message names the file."""


def launch(config: Config, beam_arguments: Sequence[str], console: Console, metrics: str | None = None) -> ExitCode:
    """Run the job of a config to its end; the last line on standard output is the outcome as JSON.

    Args:
        metrics: a file, or the URL of a push gateway, that is told how far the run is; None: neither.

    Returns:
        DONE, or TOO_MANY_FAILURES where more images failed than ``run.max_failure_rate`` allows.

    Raises:
        ConfigError, ManifestError, ModelRefused: before any work starts.
        LeaseTaken: another launcher is at work on the same model and output.
        TooManyFailures: the first ``run.max_failures`` images of a worker all failed.
        Exception: whatever stopped the job; what was committed until then stays.
    """
    clock = time.monotonic()
    options = pipeline_options(config, beam_arguments)
    inputs = config.input
    doors = Doors.of_manifest(inputs.manifest, inputs.allowed_schemes, inputs.allowed_roots)
    storage = Storage(config.storage, doors, inputs.timeout)
    config, notes = settle_method(config, storage, console.print)
    job = dataclasses.replace(prepare_job(config, storage, console.print), notes=notes)
    table = job.settings.table
    reporter = MetricsReporter(metrics)
    try:
        with Lease(table, storage) as lease:
            summary = _run_job(config, job, options, lease, clock, console, reporter)
            uri = close_run(table, summary, storage)
    except BaseException as error:
        reporter.stopped(error)
        raise
    print_summary(summary, uri, console)
    if config.wants_audit and summary.images:
        from pipeline.audit import audit_run

        audit_run(config, table.output, table.run_id, storage, console.print)
    too_many = summary.failure_rate > config.run.max_failure_rate
    code = ExitCode.TOO_MANY_FAILURES if too_many else ExitCode.DONE
    reporter.end(code)
    say_result(json.dumps(summary.for_scheduler(uri, code)))
    return code


def _run_job(
    config: Config,
    job: Job,
    options: PipelineOptions,
    lease: Lease,
    clock: float,
    console: Console,
    reporter: MetricsReporter,
) -> Summary:
    """What only the launcher that holds the lease may do. Returns the summary."""
    storage, table = job.storage, job.settings.table
    # In a thread, so that it can be interrupted; a folder of a million overlays takes its time.
    patiently(lambda: storage.sweep(table.output), table.output, threading.TIMEOUT_MAX)
    earlier = list(list_parts(table.layout.statistics, storage)) if config.run.resume else []
    outdated = Outdated(frozenset(config.run.retry_failed), config.input.detect_changes)
    kept = forget_images(earlier, table, outdated, job.manifest, storage)
    corrected = correct_images(kept.parts, job.manifest, job.knowledge, job.card, job.settings, storage, lease.check)
    earlier = corrected.parts
    if job.settings.max_failures:  # images that failed before may well do so again
        settings = dataclasses.replace(job.settings, max_failures=job.settings.max_failures + kept.failed)
        job = dataclasses.replace(job, settings=settings)
    left = max(job.survey.count - kept.images + corrected.asked_again, 0)
    job = job.shared_out(left, config.run.shard_size, local_workers(config, options))
    write_earlier_parts(table, earlier, storage)
    record = open_run(table, job.manifest.shown, job.survey.count, redacted(config), storage, job.card.files)
    reporter.begin(record)
    console.print(f"run {table.run_id}: {job.card.target_layer} of {job.card.source}, output {table.output}")
    if kept.lost:
        console.print(f"explaining again: {kept.failed:,} images that failed, {kept.changed:,} that have changed")
    if corrected.corrected or corrected.asked_again:
        console.print(
            f"the manifest says something else of images that are done: {corrected.corrected:,} corrected in their "
            f"rows, {corrected.asked_again:,} explained again since other classes are asked for or other masks given"
        )
    for note in (*job.notes, *job.card.notes):
        console.print(f"note: {note}")
    watch = PartWatch(table, earlier, storage)
    prepared = time.monotonic()
    with ProgressDisplay(console, job.survey.count) as display:

        def look() -> None:
            lease.check()
            progressed = watch.look()
            display.show(progressed)
            reporter.show(progressed)

        try:
            execute(job, options, look)
        except StateError as error:  # no refusal: the job has begun, and its threads do not end by themselves
            raise BrokenOutputError(str(error)) from error
        except Exception as error:
            cause = _cause(error, table, storage)
            if cause is error:
                raise
            if isinstance(cause, ManifestError):  # the job has begun, and its threads do not end by themselves
                raise LateMistakeError(str(cause)) from None
            raise cause from None
    now = time.monotonic()
    progressed = watch.look()
    reporter.show(progressed)
    check_parts({*earlier, *watch.footers}, table, storage)
    if corrected.corrected:
        progressed.events[CORRECTED] = corrected.corrected
    return summarize(config, job, progressed, record.started, prepared - clock, now - prepared)


def _cause(error: Exception, table: TableLocation, storage: Storage) -> Exception:
    """What a worker wrote down before it stopped; else the error that the runner raised."""
    try:
        return why_stopped(table, storage) or error
    except Exception as unread:  # noqa: BLE001 - what ended the job must not be hidden behind it
        error.add_note(f"{table.run.stopped} cannot be read: {type(unread).__name__}: {storage.redact(str(unread))}")
        return error
