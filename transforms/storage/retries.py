"""Try again what can get better: a busy server, a lost connection. Never what cannot: a missing file."""

import errno
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Result = TypeVar("Result")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 16.0  # seconds
_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}
_TRANSIENT_ERRNO = {errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.ESTALE, errno.EHOSTUNREACH, errno.ENETUNREACH}
# By name: the libraries of object stores are optional, and their errors share no ancestor.
_TRANSIENT_NAMES = {
    "ClientPayloadError",  # aiohttp: fewer bytes than announced
    "ServerConnectionError",
    "ClientConnectorError",
    "EndpointConnectionError",  # botocore
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "ResponseStreamingError",
    "IncompleteReadError",
    "FSTimeoutError",
    "ServiceRequestError",  # azure
    "ServiceResponseError",
}


def with_retries(
    attempt: Callable[[float], Result],
    attempts: int,
    seconds: float,
    on_retry: Callable[[Exception], None] | None = None,
) -> Result:
    """Call ``attempt`` with the seconds that are left, again after transient errors, with exponential full jitter.

    A Retry-After of the server is obeyed. The last error is raised as it is, with a note on the number of attempts;
    ``on_retry`` hears of those before.
    """
    deadline = time.monotonic() + seconds
    for number in range(1, attempts + 1):
        try:
            return attempt(max(deadline - time.monotonic(), 0.001))
        except Exception as error:
            pause = _retry_after(error)
            if pause is None:
                pause = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (number - 1)))
            if number == attempts or not is_transient(error) or time.monotonic() + pause >= deadline:
                if number > 1:
                    error.add_note(f"{number} attempts")
                raise
            if on_retry is not None:
                on_retry(error)
            time.sleep(pause)
    raise ValueError(f"attempts must be at least 1, not {attempts}")


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    for link in _chain(error):
        if any(cls.__name__ in _TRANSIENT_NAMES for cls in type(link).__mro__):
            return not any(
                isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN for cause in _chain(link)
            )
        status = _status(link)
        if status is not None:
            return status in _TRANSIENT_STATUS
        if isinstance(link, (TimeoutError, ConnectionError)):
            return True
        if isinstance(link, socket.gaierror):
            return link.errno == socket.EAI_AGAIN
        if isinstance(link, OSError) and link.errno in _TRANSIENT_ERRNO:
            return True
    return False


def http_status(error: BaseException) -> int | None:
    """The HTTP status that is behind an error, whichever library raised it."""
    return next((status for status in map(_status, _chain(error)) if status is not None), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(10):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _status(error: BaseException) -> int | None:
    """The HTTP status in an error of aiohttp, botocore, gcsfs or azure."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for name in ("status", "status_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and 100 <= value < 600:
            return value
    return None


def _retry_after(error: BaseException) -> float | None:
    for link in _chain(error):
        headers: Any = getattr(link, "headers", None)
        if headers and str(headers.get("Retry-After", "")).isdigit():
            return float(headers["Retry-After"])
    return None
