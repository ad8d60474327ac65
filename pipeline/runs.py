"""The runs of an output: their names, and what each leaves in ``runs/<run_id>/``."""

import datetime
import json
from typing import Any

import yaml

from pipeline.config import Config, ConfigError, redacted
from transforms.parts import list_parts
from transforms.storage import Storage


def choose_run_id(config: Config, output: str, fingerprint: str, manifest_uri: str, storage: Storage) -> str:
    """The id of the run to make or to go on with.

    ``auto`` goes on with the newest run of the same model over the same manifest that was not finished, and starts a
    new one, named after the time in UTC, where there is none.

    Raises:
        ConfigError: a run of that name is there and the config says not to resume.
    """
    if config.run.id != "auto":
        if not config.run.resume and any(True for _ in list_parts(f"{output}/statistics/run={config.run.id}", storage)):
            raise ConfigError(
                f"run.id: {config.run.id} has rows already, and run.resume is false; choose another id or resume it"
            )
        return config.run.id
    if config.run.resume:
        for run_id in sorted(_unfinished_runs(output, storage), reverse=True):
            record = json.loads(storage.read(f"{output}/runs/{run_id}/run.json"))
            if (record["fingerprint"], record["manifest"]) == (fingerprint, manifest_uri):
                return run_id
    now = datetime.datetime.now(datetime.UTC)
    run_id = now.strftime("%Y%m%dT%H%M%SZ")
    return run_id if not storage.exists(f"{output}/runs/{run_id}/run.json") else now.strftime("%Y%m%dT%H%M%S.%fZ")


def open_run(config: Config, output: str, run_id: str, fingerprint: str, manifest_uri: str, storage: Storage) -> None:
    """Write down what the run is about to do, before it does it."""
    folder = f"{output}/runs/{run_id}"
    record = {"run_id": run_id, "fingerprint": fingerprint, "manifest": manifest_uri, "started": utc_now()}
    storage.put(f"{folder}/config.yaml", yaml.safe_dump(redacted(config), sort_keys=False).encode())
    storage.put(f"{folder}/run.json", json.dumps(record, indent=2).encode())


def close_run(output: str, run_id: str, summary: dict[str, Any], storage: Storage) -> str:
    """Write the summary: from now on the run is finished."""
    uri = f"{output}/runs/{run_id}/summary.json"
    storage.put(uri, json.dumps(summary, indent=2, default=str).encode())
    return uri


def utc_now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _unfinished_runs(output: str, storage: Storage) -> set[str]:
    files = [uri.split("/")[-2:] for uri in storage.walk(f"{output}/runs")]
    started = {folder for folder, name in files if name == "run.json"}
    return started - {folder for folder, name in files if name == "summary.json"}
