"""All commands, in the order of ``--help``."""

import re
import sys
import traceback

import typer

from pipeline.cli import models, outputs, running
from pipeline.exit_codes import ExitCode
from pipeline.terminal import OutputClosedError, drop_output, escaped

app = typer.Typer(
    name="beam-gradcam",
    help="Explain image classifiers over whole datasets: batched Grad-CAM on Apache Beam.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# What comes behind "--" is Beam's.
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})(running.run)
app.command("compile")(models.compile_)
for _command in (
    models.inspect,
    models.check,
    models.methods,
    outputs.status,
    outputs.report,
    outputs.neighbours,
    outputs.history,
    outputs.compare,
    outputs.render,
    outputs.explore,
    outputs.export,
):
    app.command()(_command)


def main() -> None:
    """The console script. What nobody foresaw ends with 70: Python's own 1 would say that images failed."""
    try:
        app(args=_spelled_out(sys.argv[1:]))
    except OutputClosedError:
        drop_output()
        sys.exit(ExitCode.OUTPUT_CLOSED)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich and click end with 1 where a reader has gone
            drop_output()
            sys.exit(ExitCode.OUTPUT_CLOSED)
        raise
    except Exception:  # noqa: BLE001 - of whatever kind
        sys.stderr.write(escaped(traceback.format_exc()))
        sys.exit(ExitCode.CRASH)


def _spelled_out(arguments: list[str]) -> list[str]:
    """``--retry-failed`` without statuses means all of them: typer knows no option whose value may be left out."""
    if "--retry-failed" not in arguments:
        return arguments
    place = arguments.index("--retry-failed") + 1
    has_value = place < len(arguments) and re.fullmatch("all|[A-Z_,]+", arguments[place])
    return arguments if has_value else [*arguments[:place], "all", *arguments[place:]]
