"""The command that explains a manifest."""

import enum
import logging
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.cli.endings import refuse, stop
from pipeline.cli.options import Settings
from pipeline.exit_codes import ExitCode
from pipeline.interrupts import interruptible
from pipeline.terminal import OutputClosedError
from transforms.errors import UserError

if TYPE_CHECKING:
    from pipeline.config import Config


class LogFormat(enum.StrEnum):
    TEXT = "text"
    JSON = "json"


def run(
    context: typer.Context,
    config: Annotated[str | None, typer.Argument(help="YAML file, path or URL; without one, the demo runs")] = None,
    set_: Settings = None,
    retry_failed: Annotated[
        str | None, typer.Option(metavar="[STATUS,...]", help="Explain failed images again: all, or those of a status")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Of what is said on standard error")] = LogFormat.TEXT,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would take, and what be refused")] = False,
    price: Annotated[
        list[float] | None, typer.Option(metavar="PER_HOUR", min=0, help="With --plan: of a machine; may be repeated")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="Write OpenMetrics there, or push them: how far the run is")
    ] = None,
) -> None:
    """Explain every image of a manifest. Beam options follow after --, as in: run job.yaml -- --runner=FlinkRunner.

    The last line on standard output says in JSON what came of it. Exit codes: 0 done; 1 more failures than allowed;
    2 the config, manifest or model cannot be used; 70 the job stopped; 74 standard output cannot be written; 75 another
    launcher is at work; 130 interrupted.
    """
    from pipeline.config import load_config
    from pipeline.logs import start_logs

    beam_options = context.args
    if config is not None and config.startswith("--"):  # what comes after a "--" that no config came before
        beam_options = [config, *beam_options]
        config = None
    as_json = log_format is LogFormat.JSON
    retry = [] if retry_failed is None else [f"run.retry_failed={retry_failed}"]
    try:
        loaded = load_config(config, [*(set_ or ()), *retry])
    except UserError as error:
        raise refuse(str(error), ExitCode.USAGE, start_logs(as_json)) from None
    console = start_logs(as_json, loaded.storage)
    with interruptible():
        try:
            code = _plan(loaded, price or [], console) if plan else _launch(loaded, beam_options, console, metrics)
        except KeyboardInterrupt:
            stop(
                "interrupted; what was committed stays, and the same command goes on from there",
                ExitCode.INTERRUPTED,
                console,
            )
    raise typer.Exit(code)


def _plan(config: "Config", prices: list[float], console: Console) -> int:
    """Say what a run would take; what it would be refused for is refused."""
    from pipeline.planning import plan_run, print_plan

    try:
        print_plan(plan_run(config, prices, console.print), console)
    except UserError as error:
        raise refuse(str(error), ExitCode.USAGE, console) from None
    return ExitCode.DONE


def _launch(config: "Config", beam_options: list[str], console: Console, metrics: str | None = None) -> int:
    """Run the job; what stops it is said, and becomes an exit code."""
    from pipeline.launch import LateMistakeError, launch
    from pipeline.runs import LeaseTaken
    from transforms.explain import TooManyFailures
    from transforms.storage import redact

    try:
        return launch(config, beam_options, console, metrics)
    except UserError as error:
        raise refuse(str(error), ExitCode.USAGE, console) from None
    except LeaseTaken as error:
        raise refuse(str(error), ExitCode.BUSY, console) from None
    except OutputClosedError as error:
        stop(str(error), ExitCode.OUTPUT_CLOSED, console)
    except LateMistakeError as error:
        stop(str(error), ExitCode.USAGE, console)
    except TooManyFailures as error:
        stop(str(error), ExitCode.TOO_MANY_FAILURES, console)
    except Exception as error:
        logging.getLogger("beam-gradcam").error("the job stopped", exc_info=error)
        lines = redact(str(error), config.storage).strip().splitlines() or [type(error).__name__]
        cause = lines[-1] if "Traceback" in lines[0] else " ".join(lines)
        stop(
            f"the job stopped: {cause}; what was committed stays, and the same command goes on from there",
            ExitCode.CRASH,
            console,
        )
