"""What a run does with its table at its end: controls, faithfulness, overlays by policy, the report."""

import dataclasses
from collections.abc import Callable

from pipeline.audit.errors import AuditError
from pipeline.audit.inputs import open_table
from pipeline.audit.neighbours import write_neighbours
from pipeline.audit.probes import write_controls, write_faithfulness
from pipeline.audit.render import overlay_look, overlay_uri, policy_rows, render
from pipeline.audit.report import write_report
from pipeline.config import Config
from pipeline.runs import Run, find_run
from pipeline.terminal import one_line
from transforms.model import load_compiled, read_card
from transforms.storage import Storage

_TOLD = 5


def _say_neighbours(run: Run, storage: Storage, say: Callable[[str], None]) -> None:
    """Make them, unless there is nothing to compare."""
    try:
        found = write_neighbours(run, storage, say)
    except AuditError as error:
        say(f"no neighbours: {one_line(str(error))}")
        return
    say(
        f"neighbours {run.files.neighbours}: {found.groups:,} groups of duplicates, {found.leaking:,} across splits, "
        f"{found.label_candidates:,} doubtful labels, {found.outliers:,} outliers"
    )


def audit_run(config: Config, output: str, run_id: str, storage: Storage, say: Callable[[str], None]) -> None:
    """Do what the config asks for once all rows are committed."""
    run = find_run(output, run_id, storage)
    if config.run.controls or config.explain.faithfulness:
        card = dataclasses.replace(read_card(run.model, storage), files=dict(run.record.model_files))
        model = load_compiled(run.model, storage, config.explain.batch_size, card)
        with open_table({"statistics": run}, storage) as table:
            if config.run.controls:
                say(f"controls {write_controls(table, run, model, storage)}")
            if config.explain.faithfulness:
                count = config.explain.faithfulness
                say(f"faithfulness {write_faithfulness(table, run, count, model, storage)}")
    if config.overlays.is_chosen:
        look = overlay_look(run.config)
        with open_table({"statistics": run}, storage) as table:
            keys = policy_rows(table, config.overlays.policy)
            made = render(table, run, keys, look, overlay_uri(run, look), storage)
        problems = [overlay.problem for overlay in made if overlay.problem is not None]
        say(f"{len(made) - len(problems):,} overlays under {run.files.overlays}")
        for problem in problems[:_TOLD]:
            say(f"no overlay: {one_line(problem)}")
        if len(problems) > _TOLD:
            say(f"no overlay: {len(problems) - _TOLD:,} more")
    if config.run.report:
        if config.explain.embedding:
            _say_neighbours(run, storage, say)
        say(f"report {write_report(run, storage, slices=config.audit.slices)}")
