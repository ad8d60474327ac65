"""``beam-gradcam status``: the runs of an output and how far they are, read from what is stored, so from anywhere."""

import dataclasses
import datetime
import json
import logging
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from pipeline.runs.lease import is_alive
from pipeline.runs.progress import PartWatch
from pipeline.runs.record import Run, find_run, list_runs, utc_now
from pipeline.terminal import one_line, say_result
from transforms.model import digest_of_all
from transforms.records import Status
from transforms.storage import StateError, Storage
from transforms.table import PartFooter, TableLocation, read_holder, read_part

_ERRORS = 5
_log = logging.getLogger("beam-gradcam")


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    run_id: str
    state: str  # running, finished or interrupted
    started: str  # ISO 8601, UTC; of its last launch
    inputs: int  # lines of the manifest, duplicates included
    images: int  # explained by this run, in all its launches
    rows: int
    statuses: dict[str, int]  # images per status
    failures: int
    images_per_second: float | None  # since the last launch; None where nothing was committed since
    last_commit: str | None
    summary: str | None  # URI, of a finished run
    other_models: int  # parts whose rows other model files made than the run's record names


def status_of(run: Run, storage: Storage) -> RunStatus:
    """How far a run is."""
    table, started = run.table, run.record.started
    watch = PartWatch(table, (), storage)
    progressed = watch.look()
    is_finished = run.summary is not None
    return RunStatus(
        run_id=run.run_id,
        state="finished" if is_finished else "running" if _is_running(table, storage) else "interrupted",
        started=started,
        inputs=run.record.inputs,
        images=progressed.images,
        rows=progressed.rows,
        statuses=progressed.statuses,
        failures=progressed.failures,
        images_per_second=_speed(list(watch.footers.values()), started, is_finished),
        last_commit=max((footer.committed for footer in watch.footers.values()), default=None),
        summary=table.run.summary if is_finished else None,
        other_models=_of_other_models(run, watch.footers.values()),
    )


def _of_other_models(run: Run, footers: Iterable[PartFooter]) -> int:
    """Parts that say which model files made them, where the run's record says others. Compiling a model again gives
    other files for the same numbers; so does whoever swaps them."""
    own = digest_of_all(run.record.model_files)
    return sum(bool(own and footer.model_digest) and footer.model_digest != own for footer in footers)


def last_errors(run: Run, storage: Storage) -> list[dict[str, Any]]:
    """The newest failures of a run: URI, status and message."""
    watch = PartWatch(run.table, (), storage)
    watch.look()
    errors: list[dict[str, Any]] = []
    for uri, footer in sorted(watch.footers.items(), key=lambda part: part[1].committed, reverse=True):
        if any(Status(status).is_failure for status in footer.statuses):
            rows = read_part(uri, storage, ["uri", "status", "error_message"]).to_pylist()
            errors += [row for row in rows if Status(row["status"]).is_failure]
        if len(errors) >= _ERRORS:
            break
    return errors[:_ERRORS]


def print_status(output: str, run_id: str | None, as_json: bool, storage: Storage, console: Console) -> None:
    """The runs of an output, and more about one of them: ``run_id``, else the newest.

    Raises:
        NoRunError: there is no run, or none of that name.
    """
    found = list_runs(output, storage) if run_id is None else [find_run(output, run_id, storage)]
    runs = [status_of(run, storage) for run in found]
    errors = last_errors(found[-1], storage)
    if as_json:
        say_result(json.dumps({"runs": [dataclasses.asdict(run) for run in runs], "last_errors": errors}))
        return
    for run in runs:
        speed = f", {run.images_per_second:.1f} images/s" if run.images_per_second else ""
        console.print(
            f"{run.run_id}  {run.state}, started {run.started}: {run.images:,} images of {run.inputs:,} lines{speed}"
        )
        if run.other_models:
            console.print(
                f"  {run.other_models:,} parts of {run.run_id} were made by other model files than its record names: "
                "the model was compiled again between two launches, or someone has swapped it"
            )
    counts = [f"{count:,} {status}" for status, count in sorted(runs[-1].statuses.items())]
    none = "nothing was left to explain" if runs[-1].state == "finished" else "none yet"
    console.print(f"images by status in {runs[-1].run_id}: {', '.join(counts) or none}")
    for error in errors:
        console.print(f"  {error['status']} {one_line(error['uri'])}: {one_line(error['error_message'] or '')}")


def _is_running(table: TableLocation, storage: Storage) -> bool:
    try:
        holder = read_holder(table, storage)
    except StateError as error:
        _log.warning("%s", error)
        return False
    return holder is not None and holder.run_id == table.run_id and is_alive(holder)


def _speed(footers: list[PartFooter], started: str, is_finished: bool) -> float | None:
    start = datetime.datetime.fromisoformat(started)
    since = [footer for footer in footers if datetime.datetime.fromisoformat(footer.committed) >= start]
    if not since:
        return None
    end = max(footer.committed for footer in since) if is_finished else utc_now()
    seconds = (datetime.datetime.fromisoformat(end) - start).total_seconds()
    return round(sum(footer.images for footer in since) / max(seconds, 1.0), 2)
