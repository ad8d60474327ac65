"""Run a job's graph to its end, and notice when it can have none."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from pipeline.graph import build_graph
from pipeline.job import Job
from pipeline.launch.flink import cancel_on_flink
from pipeline.launch.runners import is_local, name_job, runner_of

_POLL_SECONDS = (0.5, 30.0)  # shortest, longest
_log = logging.getLogger(__name__)
_WORKER_THREAD = "run_worker"  # FnApiRunner's thread that waits for a worker process


class WorkerLostError(RuntimeError):
    """A worker process on this machine ended before its work was done."""


def execute(job: Job, options: PipelineOptions, while_waiting: Callable[[], None]) -> None:
    """Run the graph; wait in a thread of its own, since FnApiRunner blocks and cannot be interrupted while it does.

    Raises:
        WorkerLostError: a worker process died. FnApiRunner itself would wait for it for ever.
        BaseException: whatever stopped the job, or came out of ``while_waiting``, after a cluster's job was cancelled.
    """
    errors: list[BaseException] = []
    name = name_job(options, job.settings.table.run_id)
    pipeline = beam.Pipeline(runner=runner_of(options), options=options)
    build_graph(pipeline, job)
    result = None if is_local(options) else _submit(pipeline)

    def work() -> None:
        try:
            (result or pipeline.run()).wait_until_finish()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=work, name="beam", daemon=True)
    with _lost_workers(errors):
        thread.start()
        try:
            wait = _POLL_SECONDS[0]
            while thread.is_alive() and not errors:
                thread.join(wait)
                before = time.monotonic()
                while_waiting()
                # A look at a hundred thousand parts takes its time, and on an object store money.
                wait = min(max(20 * (time.monotonic() - before), _POLL_SECONDS[0]), _POLL_SECONDS[1])
        except BaseException:
            if result is not None:
                _cancel(result, options, name)
            raise
    if errors:
        raise errors[0]


def _submit(pipeline: beam.Pipeline) -> PipelineResult:
    """Hand the graph to a cluster, in the main thread, since Beam sets a signal handler.

    On Ctrl-C that handler would stop the job server before the job could be cancelled through it.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        return pipeline.run()
    finally:
        signal.signal(signal.SIGINT, interrupt)


def _cancel(result: PipelineResult, options: PipelineOptions, name: str) -> None:
    try:
        if not cancel_on_flink(options, name):
            result.cancel()
    except Exception as error:  # noqa: BLE001 - why the job is cancelled is what must be said
        _log.warning("%s may go on: it could not be cancelled (%s); see the cluster's own interface", name, error)


@contextlib.contextmanager
def _lost_workers(errors: list[BaseException]) -> Iterator[None]:
    """Add an error where a thread that waits for a worker process dies: Beam itself only prints that."""
    before = threading.excepthook

    def notice(failure: threading.ExceptHookArgs) -> None:
        if failure.thread is None or failure.thread.name != _WORKER_THREAD:
            before(failure)
            return
        errors.append(
            WorkerLostError(
                f"{failure.exc_value}; -9 or 137 is most often the kernel, out of memory: "
                "set run.workers or explain.batch_size lower"
            )
        )

    threading.excepthook = notice
    try:
        yield
    finally:
        threading.excepthook = before
