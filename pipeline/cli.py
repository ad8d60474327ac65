"""The command line: ``beam-gradcam`` or ``python -m pipeline``. Heavy imports wait until a command needs them."""

import atexit
import enum
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from pipeline.exit_codes import ExitCode
from pipeline.interrupts import interruptible
from pipeline.terminal import OutputClosedError, SafeConsole, drop_output, escaped, say_result
from transforms.errors import UserError

if TYPE_CHECKING:
    from pipeline.config import Config

app = typer.Typer(
    name="beam-gradcam",
    help="Explain image classifiers over whole datasets: batched Grad-CAM on Apache Beam.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


class LogFormat(enum.StrEnum):
    TEXT = "text"
    JSON = "json"


_Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as input.limit=100")
]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": False})
def run(
    context: typer.Context,
    config: Annotated[str | None, typer.Argument(help="YAML file, path or URL; without one, the demo runs")] = None,
    set_: _Settings = None,
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
        raise _refuse(str(error), ExitCode.USAGE, start_logs(as_json)) from None
    console = start_logs(as_json, loaded.storage)
    with interruptible():
        try:
            code = _plan(loaded, price or [], console) if plan else _launch(loaded, beam_options, console, metrics)
        except KeyboardInterrupt:
            _stop(
                "interrupted; what was committed stays, and the same command goes on from there",
                ExitCode.INTERRUPTED,
                console,
            )
    raise typer.Exit(code)


@app.command("compile")
def compile_(
    model: Annotated[str, typer.Argument(help="what model.source would say: a file, keras:NAME, hub:HANDLE ...")],
    directory: Annotated[str, typer.Argument(metavar="DIR", help="where to write it: a new folder, path or URL")],
    set_: _Settings = None,
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
        raise _usage(error) from None
    console = SafeConsole()
    console.print(f"{folder}: {card.way} at {card.target_layer}, {card.cam_height} x {card.cam_width} cells")
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
        raise _usage(error) from None
    if as_json:
        say_result(inspection.to_json())
    else:
        print_inspection(inspection, SafeConsole(), every)


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="what model.source would say: a file, keras:NAME, hub:HANDLE ...")],
    manifest: Annotated[str, typer.Argument(help="images, as input.manifest; labels tell the most")],
    set_: _Settings = None,
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
        raise _usage(error) from None
    out = SafeConsole()
    raise typer.Exit(show_check(found, verdict, as_json, out))


@app.command()
def methods(
    model: Annotated[str, typer.Argument(help="what model.source would say: a file, keras:NAME, hub:HANDLE ...")],
    manifest: Annotated[str, typer.Argument(help="images, as input.manifest; boxes tell the most")],
    count: Annotated[int, typer.Option("--images", min=1, help="how many of them")] = 64,
    save: Annotated[
        str | None, typer.Option(metavar="OUTPUT", help="Keep the answer there, for explain.method: auto of its runs")
    ] = None,
    set_: _Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON")] = False,
) -> None:
    """Hold every method on the last layers to what the model does, and recommend one, or none."""
    from pipeline.config import load_config
    from pipeline.logs import start_logs

    console = start_logs()
    try:
        where = [f"model.source={model}", f"input.manifest={manifest}"]
        config = load_config(None, [*where, *(set_ or ())])
        from pipeline.methods import answer_of, compare_methods, keep_answer, show_methods, uri_of

        table = compare_methods(config, count, console.print)
        if save is not None:
            from transforms.storage import Storage

            storage = Storage(config.storage)
            kept = uri_of(load_config(None, [*where, *(set_ or ()), f"output.path={save}"]), storage)
            answer = answer_of(table, storage.redact(manifest))
            keep_answer(answer, kept, storage)
            console.print(f"{kept}: {answer.said}")
    except UserError as error:
        raise _usage(error) from None
    # Whole lines for a file or a pipe, which have no width.
    show_methods(table, as_json, SafeConsole(width=None if sys.stdout.isatty() else 170))


Output = Annotated[str, typer.Argument(help="The output of a job: the folder with runs/ in it, path or URL")]
RunId = Annotated[str | None, typer.Option("--run", metavar="ID", help="Which run; the newest one if left out")]
ConfigFile = Annotated[
    str | None, typer.Option("--config", help="YAML file with storage options, audit.regions and compare thresholds")
]


@app.command()
def status(
    output: Output,
    run: RunId = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False,
    config: ConfigFile = None,
) -> None:
    """Show the runs of an output: how far each is, failures by kind, the last errors. Works from anywhere."""
    from pipeline.config import load_config

    def show() -> int:
        loaded = load_config(config)
        from pipeline.runs import print_status
        from transforms.storage import Storage

        storage = Storage(loaded.storage, timeout=loaded.input.timeout)
        print_status(storage.absolute(output), run, as_json, storage, SafeConsole())
        return ExitCode.DONE

    _audit(show)


@app.command()
def report(output: Output, run: RunId = None, config: ConfigFile = None) -> None:
    """Make a page about a run: health, classes, galleries, clusters, correlates. Prints where it is."""
    from pipeline.audit import commands

    _audit(lambda: commands.report(output, run, config))


@app.command()
def history(
    output: Output,
    last: Annotated[int, typer.Option(min=1, help="At most so many runs")] = 30,
    config: ConfigFile = None,
) -> None:
    """Make a page about the last runs: images, failures by kind, accuracy, drift, speed. Prints where it is."""
    from pipeline.config import load_config

    def write() -> int:
        loaded = load_config(config)
        from pipeline.history import write_history
        from transforms.storage import Storage

        storage = Storage(loaded.storage, timeout=loaded.input.timeout)
        say_result(write_history(storage.absolute(output), storage, last))
        return ExitCode.DONE

    _audit(write)


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


@app.command()
def explore(
    output: Output,
    run: RunId = None,
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="Another run beside it: an id of this output, or OUTPUT/runs/ID")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the page; a free one if left out")] = None,
    config: ConfigFile = None,
) -> None:
    """Look at a run in the browser: filter, sort, compare and tag its images. Prints the address; Ctrl-C ends it."""
    from pipeline.explore import commands

    _audit(lambda: commands.explore(output, run, against, port, config))


@app.command()
def export(
    format_: Annotated[
        str, typer.Argument(metavar="FORMAT", help="manifest, csv, coco, yolo, fiftyone, lightly or cleanlab")
    ],
    output: Output,
    to: Annotated[str | None, typer.Option(metavar="FILE", help="Path or URL; in this folder if left out")] = None,
    where: Annotated[str, typer.Option(help="SQL condition over the columns of the statistics table")] = "true",
    tag: Annotated[str | None, typer.Option(help="Only images that have this tag")] = None,
    run: RunId = None,
    config: ConfigFile = None,
) -> None:
    """Write rows of a run as another program reads them. Prints where the file is."""
    from pipeline.explore import commands

    _audit(lambda: commands.export(format_, output, to, run, where, tag, config))


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


def _plan(config: "Config", prices: list[float], console: Console) -> int:
    """Say what a run would take; what it would be refused for is refused."""
    from pipeline.planning import plan_run, print_plan

    try:
        print_plan(plan_run(config, prices, console.print), console)
    except UserError as error:
        raise _refuse(str(error), ExitCode.USAGE, console) from None
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
        raise _refuse(str(error), ExitCode.USAGE, console) from None
    except LeaseTaken as error:
        raise _refuse(str(error), ExitCode.BUSY, console) from None
    except OutputClosedError as error:
        _stop(str(error), ExitCode.OUTPUT_CLOSED, console)
    except LateMistakeError as error:
        _stop(str(error), ExitCode.USAGE, console)
    except TooManyFailures as error:
        _stop(str(error), ExitCode.TOO_MANY_FAILURES, console)
    except Exception as error:
        logging.getLogger("beam-gradcam").error("the job stopped", exc_info=error)
        lines = redact(str(error), config.storage).strip().splitlines() or [type(error).__name__]
        cause = lines[-1] if "Traceback" in lines[0] else " ".join(lines)
        _stop(
            f"the job stopped: {cause}; what was committed stays, and the same command goes on from there",
            ExitCode.CRASH,
            console,
        )


def _audit(command: Callable[[], int]) -> None:
    from pipeline.logs import start_logs
    from transforms.storage import NotAnsweringError

    start_logs()
    try:
        code = command()
    except UserError as error:
        raise _usage(error) from None
    except NotAnsweringError as error:
        raise _crash(error) from None
    raise typer.Exit(code)


def _redacted(text: str) -> str:
    """Without signatures and passwords of URLs, and as a terminal can show it."""
    from transforms.storage import redact

    return redact(text).encode("utf-8", "backslashreplace").decode()


def _usage(error: Exception) -> typer.Exit:
    say_result(_redacted(str(error)), sys.stderr)
    return typer.Exit(ExitCode.USAGE)


def _crash(error: Exception) -> typer.Exit:
    """The end of a command that a store does not answer: nothing to be seen in a traceback."""
    say_result(str(error), sys.stderr)
    return typer.Exit(ExitCode.CRASH)


def _refuse(why: str, code: int, console: Console) -> typer.Exit:
    """The end of a run that has not begun."""
    why = _redacted(why)
    console.print(why, style="red")
    say_result(json.dumps({"exit_code": code, "error": why}))
    return typer.Exit(code)


def _stop(why: str, code: int, console: Console) -> NoReturn:
    """End at once: the runner's threads cannot be told to stop, and nothing they could still do is wanted."""
    try:
        console.print(why, style="red")
        say_result(json.dumps({"exit_code": code, "error": why}))
    except OutputClosedError:
        pass  # the exit code says it
    atexit._run_exitfuncs()  # Beam's: they end the job server that it started
    drop_output()
    os._exit(code)
