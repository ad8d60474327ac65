"""``beam-gradcam check``: which pixels a model wants, what would be taken, and whether a run would start."""

import dataclasses
import json
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from pipeline.config import Config
from pipeline.exit_codes import ExitCode
from pipeline.pixels import measure_refs
from pipeline.sampled import sample_of
from transforms.manifest import ManifestError
from transforms.model.check import PixelCheck, Verdict, judge
from transforms.sampling import USUAL_FILTERS

_IMAGES = 64  # where the config turns the check of a run off


def check_model(config: Config, say: Callable[[str], None]) -> tuple[PixelCheck, Verdict]:
    """Measure a model on images of a manifest; nothing is compiled or written.

    Raises:
        ModelRefused, ManifestError, ConfigError: the model or the manifest cannot be used.
    """
    model, survey, settings, storage = sample_of(config, config.model.check or _IMAGES)
    say(f"{survey.count:,} lines, {len(survey.sample)} images of them; checking {config.model.source}")
    taken = model.card.sampling.settled()
    usual = [
        dataclasses.replace(taken, interpolation=name, antialias=smooth).settled() for name, smooth in USUAL_FILTERS
    ]
    others = [sampling for sampling in usual if sampling != taken]
    check = measure_refs(config, model, survey.sample, settings, storage, others)
    if check is None:
        raise ManifestError(
            f"{config.input.manifest}: none of {len(survey.sample)} images could be loaded; check their URIs"
        )
    return check, judge(check, config.model.min_agreement)


def show_check(check: PixelCheck, verdict: Verdict, as_json: bool, console: Console) -> ExitCode:
    """Print a check for a person, or as JSON. Returns USAGE where a run would be refused."""
    code = ExitCode.DONE if verdict.refusal is None else ExitCode.USAGE
    if as_json:
        answer = {"exit_code": code, **dataclasses.asdict(check), **dataclasses.asdict(verdict)}
        print(json.dumps(answer, indent=2))  # noqa: T201
        return code
    console.print(_table(check))
    console.print(f"taken: {check.taken.name}: {check.seen}")
    for remark in verdict.remarks:
        console.print(remark)
    console.print("a run would start" if verdict.refusal is None else f"REFUSED: {verdict.refusal}")
    return code


def _table(check: PixelCheck) -> Table:
    """A row for each preprocessing; columns that nothing is known about are left out."""
    columns: list[tuple[str, str, str]] = [
        ("right", "accuracy", ".1%"),
        ("mean error", "error", ".4g"),
        ("p", "p_value", ".1g"),
        ("highest p.", "confidence", ".2f"),
        ("mutual inf.", "mutual_information", ".2f"),
        ("as expected", "agreement", ".1%"),
        ("as reference", "reference_agreement", ".1%"),
        ("inputs differ", "input_difference", ".1%"),
        ("maps apart", "map_distance", ".3f"),
    ]
    of_classes = ("confidence", "mutual_information") if check.are_values else ()
    known = [each for each in columns if getattr(check.taken, each[1]) is not None and each[1] not in of_classes]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("preprocessing")
    table.add_column("resized by")
    for title, _, _ in known:
        table.add_column(title, justify="right")
    for row in (*check.rows, *check.filters):
        cells = [format(value, form) if (value := getattr(row, name)) is not None else "" for _, name, form in known]
        taken = row is check.taken
        table.add_row(row.name, row.filter + ("  <- taken" if taken else ""), *cells, style="bold" if taken else None)
    counts = f"{check.images} images, {check.labelled} with labels, {check.expected} with expected predictions"
    table.caption = f"{counts}; {check.seconds:g} s"
    table.caption_justify = "left"
    return table
