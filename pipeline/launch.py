"""Put a job on a runner, show its progress, and say what came of it."""

import time
from collections.abc import Sequence

from rich.console import Console

from pipeline.config import Config
from pipeline.execution import execute
from pipeline.job import prepare_job
from pipeline.progress import PartWatch, ProgressDisplay
from pipeline.runners import pipeline_options
from pipeline.runs import close_run, open_run, utc_now
from pipeline.summary import print_summary, summarize
from transforms.doors import Doors
from transforms.storage import Storage

EXIT_DONE = 0
EXIT_TOO_MANY_FAILURES = 1


def run(config: Config, beam_arguments: Sequence[str], console: Console) -> int:
    """Run the job of a config to its end.

    Returns:
        0, or 1 where more images failed than ``run.max_failure_rate`` allows.

    Raises:
        ConfigError, ManifestError, ModelRefused: before any work starts.
        Exception: whatever stopped the job; what was committed until then stays.
    """
    started, clock = utc_now(), time.monotonic()
    options = pipeline_options(config, beam_arguments)
    inputs = config.input
    doors = Doors.of_manifest(inputs.manifest, inputs.allowed_schemes, inputs.allowed_roots)
    storage = Storage(config.storage, doors)
    job = prepare_job(config, storage, console.print)
    table = job.settings.table
    open_run(config, table.output, table.run_id, table.fingerprint, job.manifest.uri, storage)
    console.print(f"run {table.run_id}: {job.card.target_layer} of {job.card.source}, output {table.output}")
    for note in job.card.notes:
        console.print(f"note: {note}")
    watch = PartWatch(table, storage)
    prepared = time.monotonic()
    with ProgressDisplay(console, job.survey.count) as display:
        execute(job, options, lambda: display.show(watch.look()))
    now = time.monotonic()
    summary = summarize(config, job, watch.look(), started, prepared - clock, now - prepared)
    uri = close_run(table.output, table.run_id, summary, storage)
    print_summary(summary, uri, console)
    if config.wants_audit and summary["images"]:
        from pipeline.audit.after import audit_run

        audit_run(config, table.output, table.run_id, storage, console.print)
    return EXIT_DONE if summary["failure_rate"] <= config.run.max_failure_rate else EXIT_TOO_MANY_FAILURES
