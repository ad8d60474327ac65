"""What a stranger has named, on a terminal: shown, never obeyed. And a terminal or pipe that has gone: told apart."""

import os
import re
import sys
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters but tab and newline; marks that turn the direction of text or end a line; halves of surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNSEEN_IN_LINE = re.compile(_UNSEEN.pattern[:-1] + "\t\n]")


class OutputClosedError(RuntimeError):
    """Nobody reads what is said any more, or it cannot be written."""


def escaped(text: str) -> str:
    """``text`` with everything that a terminal would act on written as its escape, ``\\x1b`` and the like."""
    return _UNSEEN.sub(_escape, text)


def one_line(text: object) -> str:
    """The same of a name or message that belongs on a line of its own."""
    return _UNSEEN_IN_LINE.sub(_escape, str(text))


def say_result(line: str, stream: IO[str] | None = None) -> None:
    """A line of the result, on standard output where nothing else is named.

    Raises:
        OutputClosedError: it cannot be written.
    """
    stream = stream or sys.stdout
    if stream is None:  # closed before the interpreter began
        raise OutputClosedError("the output cannot be written: it was closed from the beginning")
    try:
        print(escaped(line), file=stream, flush=True)
    except (OSError, ValueError) as error:  # ValueError: the stream is closed on our side
        raise OutputClosedError(f"the output cannot be written: {error}") from error


def drop_output() -> None:
    """Let what is still in the buffers of standard output and error vanish: the interpreter flushes both at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(null, stream.fileno())


class SafeConsole(Console):
    """A console without markup that escapes all text, however it is arranged."""

    def __init__(self, **options: Any):
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Rich's own segments: those that it controls the terminal with as they are, the others escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)

    def print(self, *objects: Any, **how: Any) -> None:
        """As Rich prints.

        Raises:
            OutputClosedError: it cannot be written.
        """
        try:
            super().print(*objects, **how)
        except OSError as error:
            raise OutputClosedError(f"the output cannot be written: {error}") from error

    def on_broken_pipe(self) -> None:
        """Rich would end the process with 1, which says that images failed."""
        raise OutputClosedError("the output cannot be written: its reader has gone")


def _escape(match: "re.Match[str]") -> str:
    code = ord(match[0])
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(match[0]) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )
