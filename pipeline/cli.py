"""The command line: ``beam-gradcam`` or ``python -m pipeline``. Heavy imports wait until a command needs them."""

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

EXIT_USAGE = 2
EXIT_CRASH = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="beam-gradcam",
    help="Explain image classifiers over whole datasets: batched Grad-CAM on Apache Beam.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as input.limit=100")
]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})
def run(
    context: typer.Context,
    config: Annotated[str | None, typer.Argument(help="YAML file, path or URL; without one, the demo runs")] = None,
    set_: _Settings = None,
) -> None:
    """Explain every image of a manifest. Beam options follow after --, as in: run job.yaml -- --runner=FlinkRunner."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    from pipeline.config import ConfigError, load_config

    try:
        loaded = load_config(config, set_ or ())
    except ConfigError as error:
        raise _usage(error) from None
    _quiet_logs()
    from pipeline.launch import run as launch
    from transforms.manifest import ManifestError
    from transforms.model.errors import ModelRefused

    try:
        code = launch(loaded, context.args, console)
    except (ConfigError, ManifestError, ModelRefused) as error:
        raise _usage(error) from None
    except KeyboardInterrupt:
        console.print("interrupted; what was committed stays, and the same command goes on from there")
        _leave(EXIT_INTERRUPTED)
    except Exception as error:
        logging.getLogger("beam-gradcam").error("the job stopped", exc_info=error)
        console.print(f"the job stopped: {error}\nwhat was committed stays, and the same command goes on from there")
        _leave(EXIT_CRASH)
    raise typer.Exit(code)


@app.command("compile")
def compile_(
    model: Annotated[str, typer.Argument(help="what model.source would say: a file, keras:NAME, hub:HANDLE ...")],
    directory: Annotated[str, typer.Argument(metavar="DIR", help="where to write it: a new folder, path or URL")],
    set_: _Settings = None,
) -> None:
    """Write a SavedModel that takes images and gives scores and maps in one call, for serving or a notebook."""
    from pipeline.config import ConfigError, load_config

    _quiet_logs()
    try:
        config = load_config(None, [f"model.source={json.dumps(model)}", *(set_ or ())])
        from pipeline.job import model_options
        from transforms.model.compiled import export_model
        from transforms.model.errors import ModelRefused
        from transforms.storage import Storage

        storage = Storage(config.storage)
        folder = storage.absolute(directory)
        card = export_model(model_options(config), folder, storage)
    except (ConfigError, ModelRefused) as error:
        raise _usage(error) from None
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{folder}: {card.method} at {card.target_layer}, {card.cam_height} x {card.cam_width} cells")
    for note in card.notes:
        console.print(f"note: {note}")


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="what model.source would say: a file, keras:NAME, hub:HANDLE ...")],
    set_: _Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every candidate layer, not only the last")] = False,
) -> None:
    """Show what a model looks like to the explainer: inputs, scores, candidate target layers, and the one it takes."""
    from pipeline.config import ConfigError, load_config

    _quiet_logs()
    try:
        config = load_config(None, [f"model.source={json.dumps(model)}", *(set_ or ())])
        from pipeline.inspect import print_inspection
        from pipeline.job import model_options
        from transforms.model.errors import ModelRefused
        from transforms.model.inspection import describe
        from transforms.model.load import load_model
        from transforms.model.plan import make_plan

        options = model_options(config)
        inspection = describe(make_plan(load_model(options, config.storage), options))
    except (ConfigError, ModelRefused) as error:
        raise _usage(error) from None
    if as_json:
        print(inspection.to_json())  # noqa: T201
    else:
        print_inspection(inspection, Console(highlight=False, soft_wrap=True), every)


Output = Annotated[str, typer.Argument(help="The output of a job: the folder with runs/ in it, path or URL")]
RunId = Annotated[str | None, typer.Option("--run", metavar="ID", help="Which run; the newest one if left out")]
ConfigFile = Annotated[
    str | None, typer.Option("--config", help="YAML file with storage options, audit.regions and compare thresholds")
]


@app.command()
def report(output: Output, run: RunId = None, config: ConfigFile = None) -> None:
    """Make a page about a run: health, classes, galleries, clusters, correlates. Prints where it is."""
    from pipeline.audit import commands

    _audit(lambda: commands.report(output, run, config))


@app.command()
def compare(
    before: Annotated[str, typer.Argument(help="A run: OUTPUT/runs/ID, path or URL")],
    after: Annotated[str, typer.Argument(help="Another run of the same images, also of another output")],
    config: ConfigFile = None,
) -> None:
    """Compare two runs image by image. Prints one JSON line; exit code 3 where a threshold of the config is passed."""
    from pipeline.audit import commands

    _audit(lambda: commands.compare(before, after, config))


@app.command()
def render(
    output: Output,
    where: Annotated[str, typer.Option(help="SQL condition over the columns of the statistics table")] = "true",
    limit: Annotated[int, typer.Option(min=1, help="At most so many overlays")] = 100,
    order: Annotated[str, typer.Option(help="SQL to sort by before the limit, as 'border_lift DESC'")] = "image_id",
    run: RunId = None,
    config: ConfigFile = None,
) -> None:
    """Make overlays after the fact, from the stored maps and the original images. Prints where each is."""
    from pipeline.audit import commands

    _audit(lambda: commands.render(output, run, where, order, limit, config))


def main() -> None:
    """The console script."""
    app()


def _audit(command: Callable[[], int]) -> None:
    from pipeline.audit.finished import AuditError
    from pipeline.config import ConfigError

    _quiet_logs()
    try:
        code = command()
    except (AuditError, ConfigError) as error:
        raise _usage(error) from None
    raise typer.Exit(code)


def _usage(error: Exception) -> typer.Exit:
    print(error, file=sys.stderr)  # noqa: T201
    return typer.Exit(EXIT_USAGE)


def _quiet_logs() -> None:
    """Warnings and worse, without the one that Beam gives at every import where Google's client is not installed."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger().addFilter(lambda record: not record.getMessage().startswith("apitools not found"))


def _leave(code: int) -> None:
    """End at once: the runner's threads cannot be told to stop, and nothing they could still do is wanted."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
