"""The Beam runner and its options."""

from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import PipelineRunner

LOCAL_RUNNERS = (None, "DirectRunner", "FnApiRunner")


def pipeline_options(beam_arguments: Sequence[str]) -> PipelineOptions:
    """The options as Beam reads them from a command line."""
    return PipelineOptions(list(beam_arguments))


def runner_of(options: PipelineOptions) -> PipelineRunner | str:
    """The runner that the options name; the local one is FnApiRunner.

    Beam's own DirectRunner first tries to download the Prism binary. FnApiRunner by its name alone would give its
    worker processes empty options.
    """
    name = options.view_as(StandardOptions).runner
    if name not in LOCAL_RUNNERS:
        return name
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    return fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(provision))
