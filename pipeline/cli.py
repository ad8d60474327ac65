"""The command line: ``beam-gradcam`` or ``python -m pipeline``. Heavy imports wait until a command needs them."""

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


@app.callback()
def _commands() -> None:
    """Keeps ``run`` a command of its own, also while it is the only one."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})
def run(
    context: typer.Context,
    config: Annotated[str | None, typer.Argument(help="YAML file, path or URL; without one, the demo runs")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as input.limit=100")
    ] = None,
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
