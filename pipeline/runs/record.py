"""The runs of an output, as the files that each leaves in ``runs/<run_id>/`` describe it: the one reader and writer."""

import dataclasses
import datetime
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.runs.run_config import read_run_config
from pipeline.runs.summary import Summary
from transforms.errors import UserError
from transforms.storage import Doors, StateError, Storage, decode_state, list_files, not_state, read_state
from transforms.table import OutputLayout, RunLayout, TableLocation

_log = logging.getLogger("beam-gradcam")
_WHAT, _REMEDY = "the record of a run", "remove it, or choose another run"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FINGERPRINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")  # it names a folder


class NoRunError(UserError):
    """There is no such run, or what it left cannot be read. The message says what there is instead."""


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What a run is about to do, as ``run.json`` has it."""

    run_id: str
    fingerprint: str
    targets: str  # which classes are explained; rows of other choices are not of this run
    manifest: str  # URI
    inputs: int  # lines of the manifest, duplicates included
    started: str  # ISO 8601, UTC; of its last launch
    # Path below the compiled model's folder -> digest; empty: an earlier version wrote none down.
    model_files: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of an output."""

    output: str
    record: RunRecord
    summary: Summary | None  # None: the run has not ended
    config: dict[str, Any]  # without what storage options may hold of secrets

    @property
    def run_id(self) -> str:
        return self.record.run_id

    @property
    def files(self) -> RunLayout:
        return OutputLayout(self.output).run(self.run_id)

    @property
    def model(self) -> str:
        """The folder of its compiled model."""
        return OutputLayout(self.output).model(self.record.fingerprint)

    @property
    def table(self) -> TableLocation:
        return TableLocation(self.output, self.run_id, self.record.fingerprint, self.record.targets)

    def guarded(self, storage: Storage) -> Storage:
        """``storage`` with the doors that the run's images were fetched through, and its own: the run's folder may be a
        stranger's, so what it opens is open only where the reader's own config opens it too."""
        inputs = self.config["input"]
        doors = Doors.of_manifest(inputs["manifest"], inputs.get("allowed_schemes"), inputs.get("allowed_roots", ()))
        return dataclasses.replace(storage, doors=doors.within(storage.doors))


def open_run(
    table: TableLocation,
    manifest: str,
    inputs: int,
    config: dict[str, Any],
    storage: Storage,
    model_files: Mapping[str, str] | None = None,
) -> RunRecord:
    """Write down what a run is about to do, before it does it; from now on it is unfinished.

    Args:
        manifest: its URI, of ``inputs`` lines.
        config: what may be shown of the config.
        model_files: digests of the compiled model's files.
    """
    record = RunRecord(
        table.run_id, table.fingerprint, table.targets, manifest, inputs, utc_now(), dict(model_files or {})
    )
    storage.remove(table.run.summary)
    storage.remove(table.run.stopped)
    storage.put(table.run.config, yaml.safe_dump(config, sort_keys=False).encode())
    storage.put(table.run.record, json.dumps(dataclasses.asdict(record), indent=2).encode())
    return record


def close_run(table: TableLocation, summary: Summary, storage: Storage) -> str:
    """Write the summary: from now on the run is finished. Returns its URI."""
    storage.remove(table.run.stopped)  # by a worker whose shard another one has finished
    storage.put(table.run.summary, summary.encode())
    return table.run.summary


def read_record(output: str, run_id: str, storage: Storage) -> RunRecord | None:
    """What :func:`open_run` wrote down; None where there is no such run.

    Raises:
        NoRunError: the file cannot be read.
    """
    uri = OutputLayout(output).run(run_id).record
    try:
        record = decode_state(RunRecord, read_state(uri, storage), uri, _WHAT, _REMEDY)
    except FileNotFoundError:
        return None
    except StateError as error:
        raise NoRunError(str(error)) from None
    for name, value, is_right in (
        ("run_id", record.run_id, record.run_id == run_id and _RUN_ID.fullmatch(run_id)),
        ("fingerprint", record.fingerprint, _FINGERPRINT.fullmatch(record.fingerprint)),
        ("started", record.started, _is_time(record.started)),
    ):
        if not is_right:
            raise NoRunError(str(not_state(uri, _WHAT, f"{name} is {value[:200]!r}", _REMEDY)))
    return record


def find_run(output: str, run_id: str | None, storage: Storage) -> Run:
    """The run ``run_id`` of ``output``; without an id the newest one that ended, else the newest.

    Raises:
        NoRunError: there is no such run.
    """
    if run_id is None:
        return max(list_runs(output, storage), key=lambda run: (run.summary is not None, run.record.started))
    run = _read_run(output, run_id, storage)
    if run is None:
        known = ", ".join(sorted(list_run_ids(output, storage))) or "none"
        raise NoRunError(f"{OutputLayout(output).runs} has no run {run_id!r}; it has: {known}")
    return run


def run_at(location: str, storage: Storage) -> Run:
    """The run whose folder is ``OUTPUT/runs/ID``.

    Raises:
        NoRunError: it is not such a folder, or there is no such run.
    """
    output, separator, run_id = location.rstrip("/").rpartition("/runs/")
    if not separator or not output or "/" in run_id:
        raise NoRunError(f"{location} is not the folder of a run: write OUTPUT/runs/RUN_ID")
    return find_run(output, run_id, storage)


def list_runs(output: str, storage: Storage) -> list[Run]:
    """All runs of an output that can be read, the oldest first; the others are passed over with a warning.

    Raises:
        NoRunError: there is none.
    """
    found: list[Run] = []
    broken: list[NoRunError] = []
    for run_id in sorted(list_run_ids(output, storage)):
        try:
            run = _read_run(output, run_id, storage)
        except NoRunError as error:
            broken.append(error)
            _log.warning("passed over: %s", error)
            continue
        if run is not None:
            found.append(run)
    runs = sorted(found, key=lambda run: (run.record.started, run.run_id))
    if broken and not runs:
        raise NoRunError(f"{output} holds no run that can be read: {broken[0]}")
    if not runs:
        raise NoRunError(f"{output} holds no run: give the output.path of a job, the folder that has runs/ in it")
    return runs


def list_run_ids(output: str, storage: Storage, finished: bool | None = None) -> set[str]:
    """The runs of an output; only those that have ended, or have not, where ``finished`` says so."""
    runs = OutputLayout(output).runs
    files = set(list_files(runs, storage))
    names = {uri.removeprefix(f"{runs}/").split("/")[0] for uri in files}
    layouts = [OutputLayout(output).run(name) for name in names]
    return {
        layout.run_id
        for layout in layouts
        if layout.record in files and (finished is None or (layout.summary in files) == finished)
    }


def utc_now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _read_run(output: str, run_id: str, storage: Storage) -> Run | None:
    record = read_record(output, run_id, storage)
    if record is None:
        return None
    files = OutputLayout(output).run(run_id)
    try:
        try:
            summary = Summary.decode(read_state(files.summary, storage), files.summary)
        except FileNotFoundError:
            summary = None
        return Run(output, record, summary, read_run_config(files.config, storage))
    except StateError as error:
        raise NoRunError(str(error)) from None
    except FileNotFoundError:
        raise NoRunError(f"{files.config} is missing; remove the run's folder, or run the job again") from None


def _is_time(text: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
