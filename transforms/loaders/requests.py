"""What a worker process waits for from its loaders."""

import dataclasses
from concurrent.futures import Future
from typing import Any

from transforms.loaders.channel import pickled
from transforms.loaders.messages import Draw, Known, Load, MakeRows
from transforms.records import ImageFailure


class LoadersFailed(RuntimeError):
    """Loader processes cannot do their work, whatever the image. The message says what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class Lost:
    """The outcome for an image that ends every loader that tries it, or hangs in it."""

    failure: ImageFailure
    known: Known | None = None


class Request:
    """A task on its way, perhaps through several loaders.

    Args:
        task: what is to be done.
        seconds: that a loader may be at it.
        holder: the loader that has the photo, and gets the task if it lives.
    """

    def __init__(self, task: Load | Draw | MakeRows, seconds: float, holder: Any = None):
        self.number = task.number
        self.session = task.session
        self.is_load = isinstance(task, Load)
        self.uri = None if isinstance(task, MakeRows) else task.ref.uri  # of the image; rows are those of many
        self.seconds = seconds
        self.holder = holder
        self.pickled = pickled(task)
        self.future: Future[Any] = Future()
        self.loader: Any = None  # that has or had it
        self.deaths = 0  # of loaders that had it among others
        self.strikes = 0  # deaths of loaders that had nothing else
        self.known: Known | None = None
        self._task = task

    def suspect(self) -> None:
        """From now on it is tried alone."""
        if isinstance(self._task, Load):
            self.pickled = pickled(dataclasses.replace(self._task, is_suspect=True))

    def settle(self, outcome: Any) -> None:
        if not self.future.done():
            self.future.set_result(outcome)
