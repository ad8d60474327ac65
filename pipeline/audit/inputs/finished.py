"""The runs that an audit can look at: which there are, and what each left about itself."""

import dataclasses
import json
from typing import Any

import yaml

from transforms.storage.access import Doors
from transforms.storage.storage import Storage


class AuditError(ValueError):
    """What was asked for cannot be audited. The message says what there is instead."""


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run of an output, as its files under ``runs/<run_id>/`` describe it."""

    output: str
    run_id: str
    fingerprint: str
    targets: str  # which classes were explained; rows of other choices are not of this run
    started: str  # ISO 8601, UTC
    summary: dict[str, Any] | None  # None: the run has not ended
    config: dict[str, Any]  # without what storage options may hold of secrets

    @property
    def folder(self) -> str:
        return f"{self.output}/runs/{self.run_id}"

    @property
    def statistics(self) -> str:
        return f"{self.output}/statistics/run={self.run_id}"

    @property
    def controls(self) -> str:
        return f"{self.folder}/controls.parquet"

    @property
    def faithfulness(self) -> str:
        return f"{self.folder}/faithfulness.parquet"

    @property
    def model(self) -> str:
        return f"{self.output}/models/{self.fingerprint}"

    def guarded(self, storage: Storage) -> Storage:
        """``storage`` with the doors that the run's images were fetched through."""
        inputs = self.config["input"]
        doors = Doors.of_manifest(inputs["manifest"], inputs.get("allowed_schemes"), inputs.get("allowed_roots", ()))
        return dataclasses.replace(storage, doors=doors)


def find_run(output: str, run_id: str | None, storage: Storage) -> RunRecord:
    """The run ``run_id`` of ``output``; without an id the newest one that ended, else the newest.

    Raises:
        AuditError: there is no such run.
    """
    runs = list_runs(output, storage)
    if run_id is not None:
        for run in runs:
            if run.run_id == run_id:
                return run
        known = ", ".join(run.run_id for run in runs) or "none"
        raise AuditError(f"{output}/runs has no run {run_id!r}; it has: {known}")
    if not runs:
        raise AuditError(f"{output} holds no run: give the output.path of a job, the folder that has runs/ in it")
    return max(runs, key=lambda run: (run.summary is not None, run.started))


def run_at(location: str, storage: Storage) -> RunRecord:
    """The run whose folder is ``OUTPUT/runs/ID``.

    Raises:
        AuditError: it is not such a folder, or there is no such run.
    """
    output, separator, run_id = location.rstrip("/").rpartition("/runs/")
    if not separator or not output or "/" in run_id:
        raise AuditError(f"{location} is not the folder of a run: write OUTPUT/runs/RUN_ID")
    return find_run(output, run_id, storage)


def list_runs(output: str, storage: Storage) -> list[RunRecord]:
    """All runs of an output, the oldest first."""
    files = {uri.removeprefix(f"{output}/runs/"): uri for uri in storage.walk(f"{output}/runs")}
    runs = [
        _read_run(output, name.removesuffix("/run.json"), set(files), storage)
        for name in files
        if name.count("/") == 1 and name.endswith("/run.json")
    ]
    return sorted(runs, key=lambda run: run.started)


def _read_run(output: str, run_id: str, files: set[str], storage: Storage) -> RunRecord:
    folder = f"{output}/runs/{run_id}"
    record = json.loads(storage.read(f"{folder}/run.json"))
    summary = json.loads(storage.read(f"{folder}/summary.json")) if f"{run_id}/summary.json" in files else None
    config = yaml.safe_load(storage.read(f"{folder}/config.yaml"))
    return RunRecord(output, run_id, record["fingerprint"], record["targets"], record["started"], summary, config)
