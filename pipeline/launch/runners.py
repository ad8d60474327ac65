"""The Beam runner and its options."""

import difflib
import os
import re
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.options.pipeline_options import DirectOptions, GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import PipelineRunner, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.config import Config, ConfigError

LOCAL_RUNNERS = (None, "DirectRunner", "FnApiRunner")


def pipeline_options(config: Config, beam_arguments: Sequence[str]) -> PipelineOptions:
    """The options of ``beam:`` in the config; those of the command line come after them and win.

    Raises:
        ConfigError: a runner that cannot be used, an option that Beam's local runner does not know (others have options
            of their own, which their job server knows), or ``run.workers`` on a runner that has its own workers.
    """
    options = PipelineOptions([*_arguments(config.beam), *beam_arguments])
    runner = options.view_as(StandardOptions).runner
    if runner in LOCAL_RUNNERS:
        _check_known(options)
        direct = options.view_as(DirectOptions)
        if config.run.workers > 1:
            direct.direct_num_workers = config.run.workers
            direct.direct_running_mode = "multi_processing"
    elif config.run.workers > 1:
        raise ConfigError(
            f"run.workers: {config.run.workers} is for this machine's own runner; {runner} has its own workers, "
            "as many as its cluster and its options (such as beam.parallelism for Flink) say"
        )
    if runner not in LOCAL_RUNNERS:
        try:
            create_runner(runner)
        except (ValueError, ImportError, AttributeError) as error:
            raise ConfigError(f"runner: {runner} cannot be used: {error}") from None
    return options


def local_workers(config: Config, options: PipelineOptions) -> int | None:
    """Worker processes of this machine; None where a cluster has others."""
    return config.run.workers if is_local(options) else None


def is_local(options: PipelineOptions) -> bool:
    """Whether the job runs in this process or in worker processes on this machine."""
    return options.view_as(StandardOptions).runner in LOCAL_RUNNERS


def runner_of(options: PipelineOptions) -> PipelineRunner | str:
    """The runner that the options name; the local one is FnApiRunner.

    Beam's own DirectRunner first tries to download the Prism binary. FnApiRunner by its name alone would give its
    worker processes empty options.
    """
    if not is_local(options):
        return options.view_as(StandardOptions).runner
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision = fn_runner.ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded))
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return fn_runner.FnApiRunner(provision_info=provision)
    workers = direct.direct_num_workers or os.cpu_count() or 1
    # exec: so that the process the runner knows is the worker, not a shell around it.
    command = f"exec {shlex.quote(sys.executable)} -m pipeline.worker {workers}"
    environment = SubprocessSDKEnvironment.from_command_string(command)
    direct.direct_running_mode = None  # else FnApiRunner takes a command of its own
    return fn_runner.FnApiRunner(default_environment=environment, provision_info=provision)


def name_job(options: PipelineOptions, run_id: str) -> str:
    """The name of the job on a cluster, unless the options have one: as Dataflow wants it, and never used twice."""
    named = options.view_as(GoogleCloudOptions)
    if named.job_name is None:
        named.job_name = f"beam-gradcam-{re.sub('[^a-z0-9]+', '-', run_id.lower())}-{secrets.token_hex(4)}"
    return named.job_name


def _arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as on a command line: true is a flag, a list is the option several times, null and false are nothing."""
    arguments = []
    for name, value in options.items():
        if value is True:
            arguments.append(f"--{name}")
        elif value is not None and value is not False:
            arguments += [f"--{name}={one}" for one in (value if isinstance(value, list) else [value])]
    return arguments


def _check_known(options: PipelineOptions) -> None:
    known = options.get_all_options()
    unknown = sorted(options.get_all_options(retain_unknown_options=True).keys() - known.keys())
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, 1)
        hint = f"did you mean {near[0]}?" if near else "see Beam's documentation of pipeline options"
        raise ConfigError(f"{unknown[0]}: not an option of Beam's local runner; {hint}")
