"""How a command ends: with what is said, and an exit code."""

import atexit
import json
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import typer
from rich.console import Console

from pipeline.exit_codes import ExitCode
from pipeline.terminal import OutputClosedError, drop_output, say_result
from transforms.errors import UserError


def ended(command: Callable[[], int]) -> NoReturn:
    """Do what a command does that is about an output, and end with its exit code, or with what speaks against it."""
    from pipeline.logs import start_logs
    from transforms.storage import NotAnsweringError

    start_logs()
    try:
        code = command()
    except UserError as error:
        raise usage_error(error) from None
    except NotAnsweringError as error:
        raise crash(error) from None
    raise typer.Exit(code)


def redacted(text: str) -> str:
    """Without signatures and passwords of URLs, and as a terminal can show it."""
    from transforms.storage import redact

    return redact(text).encode("utf-8", "backslashreplace").decode()


def usage_error(error: Exception) -> typer.Exit:
    """The end of a command that cannot do what it was told."""
    say_result(redacted(str(error)), sys.stderr)
    return typer.Exit(ExitCode.USAGE)


def crash(error: Exception) -> typer.Exit:
    """The end of a command that a store does not answer: nothing to be seen in a traceback."""
    say_result(str(error), sys.stderr)
    return typer.Exit(ExitCode.CRASH)


def refuse(why: str, code: int, console: Console) -> typer.Exit:
    """The end of a run that has not begun."""
    why = redacted(why)
    console.print(why, style="red")
    say_result(json.dumps({"exit_code": code, "error": why}))
    return typer.Exit(code)


def stop(why: str, code: int, console: Console) -> NoReturn:
    """End at once: the runner's threads cannot be told to stop, and nothing they could still do is wanted."""
    try:
        console.print(why, style="red")
        say_result(json.dumps({"exit_code": code, "error": why}))
    except OutputClosedError:
        pass  # the exit code says it
    atexit._run_exitfuncs()  # Beam's: they end the job server that it started
    drop_output()
    os._exit(code)
