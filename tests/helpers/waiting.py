"""Wait for what other threads and processes do: for a state, however long it takes on a busy machine."""

import time
from collections.abc import Callable
from typing import TypeVar

State = TypeVar("State")


def wait_until(state: Callable[[], State], seconds: float = 200, missing: str = "what was waited for") -> State:
    """Look again and again until ``state`` is something true, and return that.

    ``seconds`` are only there so that a test that fails does end.
    """
    deadline = time.monotonic() + seconds
    while not (found := state()):
        assert time.monotonic() < deadline, f"{missing} did not come within {seconds:.0f} seconds"
        time.sleep(0.02)
    return found
