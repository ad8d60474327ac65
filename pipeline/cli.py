"""The command line: ``beam-gradcam`` or ``python -m pipeline``. Heavy imports wait until a command needs them."""

import json
import logging
import os
import sys
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


def main() -> None:
    """The console script."""
    app()


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
