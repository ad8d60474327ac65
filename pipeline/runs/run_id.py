"""The id of a run: the one that is given, the one to go on with, or a new one."""

import datetime
import logging

from pipeline.config import ConfigError, Run
from pipeline.runs.record import NoRunError, RunRecord, list_run_ids, read_record
from transforms.storage import Storage
from transforms.table import OutputLayout, list_parts

_log = logging.getLogger("beam-gradcam")


def choose_run_id(chosen: Run, output: str, fingerprint: str, targets: str, manifest_uri: str, storage: Storage) -> str:
    """The id of the run to make or to go on with.

    ``auto`` goes on with the newest run of the same model and targets over the same manifest that was not finished, and
    starts a new one, named after the time in UTC, where there is none.

    Raises:
        ConfigError: a run of that name is there, and the config says not to resume, or it is of another model.
    """
    layout = OutputLayout(output)
    if chosen.id != "auto":
        _check(chosen, fingerprint, targets, layout, storage)
        return chosen.id
    if chosen.resume:
        for known_id in sorted(list_run_ids(output, storage, finished=False), reverse=True):
            try:
                known = read_record(output, known_id, storage)
            except NoRunError as error:
                _log.warning("passed over: %s", error)
                continue
            if known is not None and _made_of(known) == (fingerprint, targets, manifest_uri):
                return known_id
    now = datetime.datetime.now(datetime.UTC)
    run_id = now.strftime("%Y%m%dT%H%M%SZ")
    if not storage.exists(layout.run(run_id).record):
        return run_id
    return now.strftime("%Y%m%dT%H%M%SZ-%f")  # sorts behind the first of that second: the order of ids is that of age


def _check(chosen: Run, fingerprint: str, targets: str, layout: OutputLayout, storage: Storage) -> None:
    if not chosen.resume and any(True for _ in list_parts(layout.run(chosen.id).statistics, storage)):
        raise ConfigError(
            f"run.id: {chosen.id} has rows already, and run.resume is false; choose another id or resume it"
        )
    known = read_record(layout.root, chosen.id, storage)
    if known is not None and (known.fingerprint, known.targets) != (fingerprint, targets):
        raise ConfigError(
            f"run.id: {chosen.id} was made with another model, other settings of it or other targets "
            f"({known.targets}, fingerprint {known.fingerprint}); choose another id, or auto"
        )


def _made_of(record: RunRecord) -> tuple[str, str, str]:
    return record.fingerprint, record.targets, record.manifest
