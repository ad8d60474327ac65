"""The commands about a model."""

import sys
from typing import Annotated

import typer

from pipeline.cli.endings import usage_error
from pipeline.cli.options import Model, Settings
from pipeline.terminal import SafeConsole, say_result
from transforms.errors import UserError


def compile_(
    model: Model,
    directory: Annotated[str, typer.Argument(metavar="DIR", help="where to write it: a new folder, path or URL")],
    set_: Settings = None,
) -> None:
    """Write a SavedModel that takes images and gives scores and maps in one call, for serving or a notebook."""
    from pipeline.config import load_config
    from pipeline.logs import start_logs

    start_logs()
    try:
        config = load_config(None, [f"model.source={model}", *(set_ or ())])
        from transforms.model import export_model
        from transforms.storage import Storage

        storage = Storage(config.storage)
        folder = storage.absolute(directory)
        card = export_model(config.model_options, folder, storage)
    except UserError as error:
        raise usage_error(error) from None
    console = SafeConsole()
    console.print(f"{folder}: {card.way} at {card.target_layer}, {card.cam_height} x {card.cam_width} cells")
    for note in card.notes:
        console.print(f"note: {note}")


def inspect(
    model: Model,
    set_: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every candidate layer, not only the last")] = False,
) -> None:
    """Show what a model looks like to the explainer: inputs, scores, candidate target layers, and the one it takes."""
    from pipeline.config import load_config
    from pipeline.logs import start_logs

    start_logs()
    try:
        config = load_config(None, [f"model.source={model}", *(set_ or ())])
        from pipeline.methods import with_plain_method
        from pipeline.show_model import print_inspection
        from transforms.model import inspect_model
        from transforms.storage import Storage

        inspection = inspect_model(with_plain_method(config).model_options, Storage(config.storage))
    except UserError as error:
        raise usage_error(error) from None
    if as_json:
        say_result(inspection.to_json())
    else:
        print_inspection(inspection, SafeConsole(), every)


def check(
    model: Model,
    manifest: Annotated[str, typer.Argument(help="images, as input.manifest; labels tell the most")],
    set_: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON")] = False,
) -> None:
    """Score a few images under each plausible preprocessing: what would be taken and why; 2 where a run is refused."""
    from pipeline.config import load_config
    from pipeline.logs import start_logs

    console = start_logs()
    try:
        where = [f"model.source={model}", f"input.manifest={manifest}"]
        config = load_config(None, [*where, *(set_ or ())])
        from pipeline.check_model import check_model, show_check

        found, verdict = check_model(config, console.print)
    except UserError as error:
        raise usage_error(error) from None
    out = SafeConsole()
    raise typer.Exit(show_check(found, verdict, as_json, out))


def methods(
    model: Model,
    manifest: Annotated[str, typer.Argument(help="images, as input.manifest; boxes tell the most")],
    count: Annotated[int, typer.Option("--images", min=1, help="how many of them")] = 64,
    save: Annotated[
        str | None, typer.Option(metavar="OUTPUT", help="Keep the answer there, for explain.method: auto of its runs")
    ] = None,
    set_: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON")] = False,
) -> None:
    """Hold every method on the last layers to what the model does, and recommend one, or none."""
    from pipeline.config import load_config
    from pipeline.logs import start_logs

    console = start_logs()
    try:
        where = [f"model.source={model}", f"input.manifest={manifest}", *([f"output.path={save}"] if save else [])]
        config = load_config(None, [*where, *(set_ or ())])
        from pipeline.methods import compare_methods, keep_table, show_methods

        table = compare_methods(config, count, console.print)
        if save:
            console.print(keep_table(table, config))
    except UserError as error:
        raise usage_error(error) from None
    # Whole lines for a file or a pipe, which have no width.
    show_methods(table, as_json, SafeConsole(width=None if sys.stdout.isatty() else 170))
