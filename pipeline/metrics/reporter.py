"""What a launch tells a monitor: from the moment that its run is written down until it ends, however it ends."""

import dataclasses

from pipeline.exit_codes import ExitCode
from pipeline.metrics.target import MetricsTarget, open_target
from pipeline.metrics.text import RunState
from pipeline.runs import Progressed, RunRecord
from transforms.explain import TooManyFailures


class MetricsReporter:
    """Keeps metrics up to date; does nothing where nobody asked for any."""

    def __init__(self, place: str | None):
        self._place = place
        self._target: MetricsTarget | None = None
        self._state: RunState | None = None

    def begin(self, record: RunRecord) -> None:
        """Raises MetricsRefused where metrics cannot be written."""
        nothing = Progressed.of([])
        self._state = RunState(record.run_id, record.fingerprint, record.inputs, record.started, nothing)
        if self._place is not None:
            self._target = open_target(self._place, self._state)

    def show(self, progressed: Progressed) -> None:
        if self._state is not None:
            self._state = dataclasses.replace(self._state, progressed=progressed)
            self._write()

    def end(self, exit_code: int) -> None:
        if self._state is not None:
            self._state = dataclasses.replace(self._state, exit_code=exit_code)
            self._write()

    def stopped(self, error: BaseException) -> None:
        """The run has ended with an error."""
        if isinstance(error, TooManyFailures):
            self.end(ExitCode.TOO_MANY_FAILURES)
        else:
            self.end(ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.CRASH)

    def _write(self) -> None:
        if self._target is not None and self._state is not None:
            self._target.show(self._state)
