"""What is tried again, how often, and for how long."""

import errno
import socket
import time

import pytest

from transforms.storage.retries import is_transient, with_retries


class HttpError(Exception):
    def __init__(self, status: int, headers: dict[str, str] | None = None):
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers or {}


class ClientError(Exception):  # the shape of botocore's
    def __init__(self, status: int):
        super().__init__("An error occurred")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


class ClientPayloadError(Exception):
    pass


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        HttpError(500), HttpError(502), HttpError(503), HttpError(504), HttpError(429), HttpError(408),
        ClientError(503), caused(OSError(errno.EIO, "SlowDown"), ClientError(503)), TimeoutError(),
        ConnectionResetError(), BrokenPipeError(), OSError(errno.ESTALE, "stale"), OSError(errno.EBUSY, "slow down"),
        socket.gaierror(socket.EAI_AGAIN, "try again"),
    ],
)  # fmt: skip
def test_transient(error):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        HttpError(404), HttpError(403), HttpError(400), HttpError(501), ClientError(403), FileNotFoundError(),
        PermissionError(), IsADirectoryError(), OSError(errno.ELOOP, "loop"), ValueError(),
        socket.gaierror(socket.EAI_NONAME, "no such name"),
        caused(OSError(errno.EIO, "denied"), ClientError(403)),
    ],
)  # fmt: skip
def test_permanent(error):
    assert not is_transient(error)


class Failing:
    """Fails with each error in turn, then returns."""

    def __init__(self, *errors: Exception):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, seconds: float) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def pauses(monkeypatch):
    """Time passes only while it is slept."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(slept))
    return slept


def test_success_after_transient_errors(pauses):
    attempt, heard = Failing(HttpError(500), ConnectionResetError()), []
    assert with_retries(attempt, 4, 60, heard.append) == "done"
    assert attempt.calls == 3
    assert [type(error) for error in heard] == [HttpError, ConnectionResetError]
    assert 0 <= pauses[0] <= 0.5
    assert 0 <= pauses[1] <= 1


def test_the_last_error_is_raised_with_the_number_of_attempts(pauses):
    attempt = Failing(*[HttpError(503) for _ in range(9)])
    with pytest.raises(HttpError) as caught:
        with_retries(attempt, 4, 60)
    assert attempt.calls == 4
    assert caught.value.__notes__ == ["4 attempts"]


def test_permanent_errors_are_raised_at_once(pauses):
    attempt = Failing(FileNotFoundError("gone"))
    with pytest.raises(FileNotFoundError) as caught:
        with_retries(attempt, 4, 60)
    assert attempt.calls == 1
    assert not hasattr(caught.value, "__notes__")
    assert pauses == []


def test_retry_after_is_obeyed_within_the_time(pauses):
    attempt = Failing(HttpError(429, {"Retry-After": "7"}), HttpError(429, {"Retry-After": "60"}))
    with pytest.raises(HttpError):
        with_retries(attempt, 4, 30)
    assert pauses == [7]
    assert attempt.calls == 2


def test_pauses_grow_and_differ(pauses):
    for _ in range(300):
        pauses.clear()
        with pytest.raises(TimeoutError):
            with_retries(Failing(*[TimeoutError() for _ in range(9)]), 3, 1000)
        if pauses[1] > 0.9 > 0.4 < pauses[0]:
            break
    else:
        pytest.fail("the jitter does not use its range")


def test_attempts_know_how_long_they_may_take(pauses):
    left = []

    def attempt(seconds: float) -> None:
        left.append(seconds)
        time.sleep(4)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        with_retries(attempt, 9, 10)
    assert left[0] == 10
    assert left == sorted(left, reverse=True)
    assert sum(pauses) <= 14
