"""The audit's commands, each with its exit code."""

import dataclasses
import json
import sys

from pipeline.config import Config, load_config
from pipeline.exit_codes import ExitCode
from pipeline.runs import Run, find_run, run_at
from pipeline.terminal import one_line, say_result
from transforms.storage import Doors, Storage


def report(output: str, run_id: str | None, config_file: str | None) -> ExitCode:
    """``beam-gradcam report``: prints the URI of the page."""
    from pipeline.audit.report import write_report

    config = load_config(config_file)
    storage = storage_of(config)
    run = bounded(find_run(storage.absolute(output), run_id, storage), config)
    say_result(write_report(run, storage, config.audit.regions, config.audit.slices))
    return ExitCode.DONE


def neighbours(output: str, run_id: str | None, split: str | None, config_file: str | None) -> ExitCode:
    """``beam-gradcam neighbours``: prints one JSON line."""
    from pipeline.audit.neighbours import write_neighbours

    config = load_config(config_file)
    storage = storage_of(config)
    run = find_run(storage.absolute(output), run_id, storage)
    found = write_neighbours(run, storage, lambda line: say_result(line, sys.stderr), split)
    say_result(json.dumps({"neighbours": run.files.neighbours, **dataclasses.asdict(found)}))
    return ExitCode.DONE


def compare(before: str, after: str, config_file: str | None) -> ExitCode:
    """``beam-gradcam compare``: prints one JSON line; 3 where the gate closes."""
    from pipeline.audit.compare import write_comparison

    config = load_config(config_file)
    storage = storage_of(config)
    runs = [bounded(run_at(storage.absolute(location), storage), config) for location in (before, after)]
    summary = write_comparison(runs[0], runs[1], config.compare, storage, config.audit.slices)
    say_result(json.dumps(summary))
    return ExitCode.GATE if summary["reasons"] else ExitCode.DONE


def render(output: str, run_id: str | None, where: str, order: str, limit: int, config_file: str | None) -> ExitCode:
    """``beam-gradcam render``: prints the URI of every overlay; 1 where an image cannot be had any more."""
    from pipeline.audit import render as rendering
    from pipeline.audit.inputs import open_table

    config = load_config(config_file)
    storage = storage_of(config)
    run = bounded(find_run(storage.absolute(output), run_id, storage), config)
    look = rendering.overlay_look(run.config)
    with open_table({"statistics": run}, storage, config.audit.regions, neighbours=True) as table:
        keys = rendering.select_rows(table, where, order, limit)
        made = rendering.render(table, run, keys, look, rendering.overlay_uri(run, look), storage)
    for overlay in made:
        if overlay.uri is not None:
            say_result(overlay.uri)
        else:
            say_result(one_line(overlay.problem), sys.stderr)
    return ExitCode.TOO_MANY_FAILURES if any(overlay.uri is None for overlay in made) else ExitCode.DONE


def storage_of(config: Config) -> Storage:
    """With the doors of the reader's own config: a run's folder opens none that are shut here."""
    inputs = config.input
    doors = Doors.of_manifest(inputs.manifest, inputs.allowed_schemes, inputs.allowed_roots)
    return Storage(config.storage, doors, inputs.timeout)


def bounded(run: Run, config: Config) -> Run:
    """A run whose pictures may cost no more than the reader's own config allows, whatever its folder says."""
    inputs, own = run.config["input"], config.input
    limits = {name: min(inputs[name], getattr(own, name)) for name in ("max_bytes", "max_pixels")}
    return dataclasses.replace(run, config={**run.config, "input": {**inputs, **limits}})
