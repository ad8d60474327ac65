"""The audit's commands, each with its exit code."""

import json
import sys

from pipeline.config import load_config
from pipeline.exit_codes import ExitCode
from pipeline.runs import find_run, run_at
from transforms.storage import Storage


def report(output: str, run_id: str | None, config_file: str | None) -> ExitCode:
    """``beam-gradcam report``: prints the URI of the page."""
    from pipeline.audit.report import write_report

    config = load_config(config_file)
    storage = Storage(config.storage)
    run = find_run(storage.absolute(output), run_id, storage)
    _print(write_report(run, storage, config.audit.regions))
    return ExitCode.DONE


def compare(before: str, after: str, config_file: str | None) -> ExitCode:
    """``beam-gradcam compare``: prints one JSON line; 3 where the gate closes."""
    from pipeline.audit.compare import write_comparison

    config = load_config(config_file)
    storage = Storage(config.storage)
    runs = [run_at(storage.absolute(location), storage) for location in (before, after)]
    summary = write_comparison(runs[0], runs[1], config.compare, storage)
    _print(json.dumps(summary))
    return ExitCode.GATE if summary["reasons"] else ExitCode.DONE


def render(output: str, run_id: str | None, where: str, order: str, limit: int, config_file: str | None) -> ExitCode:
    """``beam-gradcam render``: prints the URI of every overlay; 1 where an image cannot be had any more."""
    from pipeline.audit import render as rendering
    from pipeline.audit.inputs import open_table

    config = load_config(config_file)
    storage = Storage(config.storage)
    run = find_run(storage.absolute(output), run_id, storage)
    look = rendering.overlay_look(run.config)
    with open_table({"statistics": run}, storage, config.audit.regions) as table:
        keys = rendering.select_rows(table, where, order, limit)
        made = rendering.render(table, run, keys, look, rendering.overlay_uri(run, look), storage)
    for overlay in made:
        if overlay.uri is not None:
            _print(overlay.uri)
        else:
            print(overlay.problem, file=sys.stderr)  # noqa: T201
    return ExitCode.TOO_MANY_FAILURES if any(overlay.uri is None for overlay in made) else ExitCode.DONE


def _print(line: str) -> None:
    print(line)  # noqa: T201 - the result of the command
