"""The runs of an output, as the files that each leaves in ``runs/<run_id>/`` describe it: the one reader and writer."""

import dataclasses
import datetime
import json
from typing import Any

import yaml

from pipeline.runs.summary import Summary
from transforms.errors import UserError
from transforms.storage import Doors, Storage
from transforms.table import OutputLayout, RunLayout, TableLocation


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
        """``storage`` with the doors that the run's images were fetched through."""
        inputs = self.config["input"]
        doors = Doors.of_manifest(inputs["manifest"], inputs.get("allowed_schemes"), inputs.get("allowed_roots", ()))
        return dataclasses.replace(storage, doors=doors)


def open_run(table: TableLocation, manifest: str, inputs: int, config: dict[str, Any], storage: Storage) -> RunRecord:
    """Write down what a run is about to do, before it does it; from now on it is unfinished.

    Args:
        manifest: its URI, of ``inputs`` lines.
        config: what may be shown of the config.
    """
    record = RunRecord(table.run_id, table.fingerprint, table.targets, manifest, inputs, utc_now())
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
        return RunRecord(**json.loads(storage.read(uri)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise NoRunError(f"{uri} is not the record of a run ({error}); remove it, or choose another run") from None


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
    """All runs of an output, the oldest first.

    Raises:
        NoRunError: there is none.
    """
    found = [_read_run(output, run_id, storage) for run_id in list_run_ids(output, storage)]
    runs = sorted((run for run in found if run is not None), key=lambda run: (run.record.started, run.run_id))
    if not runs:
        raise NoRunError(f"{output} holds no run: give the output.path of a job, the folder that has runs/ in it")
    return runs


def list_run_ids(output: str, storage: Storage, finished: bool | None = None) -> set[str]:
    """The runs of an output; only those that have ended, or have not, where ``finished`` says so."""
    runs = OutputLayout(output).runs
    files = set(storage.walk(runs))
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
        summary = Summary.decode(storage.read(files.summary))
    except FileNotFoundError:
        summary = None
    except (ValueError, TypeError) as error:
        raise NoRunError(f"{files.summary} is not the summary of a run ({error}); run the job again") from None
    return Run(output, record, summary, yaml.safe_load(storage.read(files.config)))
