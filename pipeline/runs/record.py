"""The runs of an output: their names, and what each leaves in ``runs/<run_id>/``."""

import datetime
import json
from typing import Any

import yaml

from pipeline.config.read import redacted
from pipeline.config.schema import Config, ConfigError
from transforms.storage.storage import Storage
from transforms.table.location import TableLocation
from transforms.table.parts import list_parts


def choose_run_id(
    config: Config, output: str, fingerprint: str, targets: str, manifest_uri: str, storage: Storage
) -> str:
    """The id of the run to make or to go on with.

    ``auto`` goes on with the newest run of the same model and targets over the same manifest that was not finished, and
    starts a new one, named after the time in UTC, where there is none.

    Raises:
        ConfigError: a run of that name is there, and the config says not to resume, or it is of another model.
    """
    run_id = config.run.id
    if run_id != "auto":
        if not config.run.resume and any(True for _ in list_parts(f"{output}/statistics/run={run_id}", storage)):
            raise ConfigError(
                f"run.id: {run_id} has rows already, and run.resume is false; choose another id or resume it"
            )
        known = read_record(output, run_id, storage)
        if known is not None and (known["fingerprint"], known["targets"]) != (fingerprint, targets):
            raise ConfigError(
                f"run.id: {run_id} was made with another model, other settings of it or other targets "
                f"({known['targets']}, fingerprint {known['fingerprint']}); choose another id, or auto"
            )
        return run_id
    if config.run.resume:
        unfinished = list_run_ids(output, storage) - list_run_ids(output, storage, "summary.json")
        for known_id in sorted(unfinished, reverse=True):
            known = read_record(output, known_id, storage)
            if known is not None and (known["fingerprint"], known["targets"], known["manifest"]) == (
                fingerprint,
                targets,
                manifest_uri,
            ):
                return known_id
    now = datetime.datetime.now(datetime.UTC)
    run_id = now.strftime("%Y%m%dT%H%M%SZ")
    return run_id if not storage.exists(f"{output}/runs/{run_id}/run.json") else now.strftime("%Y%m%dT%H%M%S.%fZ")


def open_run(config: Config, table: TableLocation, manifest_uri: str, inputs: int, storage: Storage) -> dict[str, Any]:
    """Write down what the run is about to do with so many lines, before it does it; it is unfinished from now on."""
    folder = f"{table.output}/runs/{table.run_id}"
    record = {
        "run_id": table.run_id,
        "fingerprint": table.fingerprint,
        "targets": table.targets,
        "manifest": manifest_uri,
        "inputs": inputs,
        "started": utc_now(),
    }
    storage.remove(f"{folder}/summary.json")
    storage.put(f"{folder}/config.yaml", yaml.safe_dump(redacted(config), sort_keys=False).encode())
    storage.put(f"{folder}/run.json", json.dumps(record, indent=2).encode())
    return record


def read_record(output: str, run_id: str, storage: Storage) -> dict[str, Any] | None:
    """What :func:`open_run` wrote down; None where there is no such run."""
    try:
        return json.loads(storage.read(f"{output}/runs/{run_id}/run.json"))
    except FileNotFoundError:
        return None


def close_run(output: str, run_id: str, summary: dict[str, Any], storage: Storage) -> str:
    """Write the summary: from now on the run is finished."""
    uri = f"{output}/runs/{run_id}/summary.json"
    storage.put(uri, json.dumps(summary, indent=2, default=str).encode())
    return uri


def utc_now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def list_run_ids(output: str, storage: Storage, having: str = "run.json") -> set[str]:
    """The runs of an output, or those that have another file."""
    files = [uri.removeprefix(f"{output}/runs/").split("/") for uri in storage.walk(f"{output}/runs")]
    return {path[0] for path in files if path[1:] == [having]}
