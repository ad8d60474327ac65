"""What the launcher says: text for a person, or one JSON object a line for a log collector. Never a line per image."""

import datetime
import json
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rich.console import Console

from pipeline.terminal import SafeConsole, escaped
from transforms.storage import redact

_LOGGER = "beam-gradcam"


class JsonConsole(SafeConsole):
    """A console whose lines become log records. Tables are for persons: what they hold is in the last line of a run."""

    def print(self, *objects: Any, style: Any = None, **_: Any) -> None:
        for text in objects:
            if isinstance(text, str):
                logging.getLogger(_LOGGER).log(logging.ERROR if style == "red" else logging.INFO, text)


class RedactingFormatter(logging.Formatter):
    """Text without credentials, those among the storage options included, and without what a terminal would obey."""

    def __init__(self, options: Mapping[str, Any]):
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._options = options

    def format(self, record: logging.LogRecord) -> str:
        return escaped(redact(super().format(record), self._options))


class JsonFormatter(RedactingFormatter):
    """The same as an object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: redact(value, self._options) for key, value in line.items()})


def start_logs(as_json: bool = False, options: Mapping[str, Any] = MappingProxyType({})) -> Console:
    """Set up logging on standard error, without what storage ``options`` hold of secrets, and the console beside it.

    Warnings and worse, without the one that Beam gives at every import where Google's client is not installed.
    """
    stream = logging.StreamHandler()
    stream.setFormatter(JsonFormatter(options) if as_json else RedactingFormatter(options))
    stream.addFilter(lambda record: not record.getMessage().startswith("apitools not found"))
    logging.basicConfig(handlers=[stream], level=logging.WARNING, force=True)
    logging.getLogger(_LOGGER).setLevel(logging.INFO)
    if as_json:
        return JsonConsole(stderr=True, force_terminal=False)
    return SafeConsole(stderr=True)
