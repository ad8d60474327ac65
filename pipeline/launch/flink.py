"""Cancel a job on Flink through Flink's own REST interface.

Beam's job server, asked to cancel, ends only its own wait for the job: the job itself would go on.
"""

import json
import urllib.request
from typing import Any

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkRunner

_SECONDS = 10.0  # for an answer
_AT_WORK = ("INITIALIZING", "CREATED", "RUNNING", "RESTARTING")


def cancel_on_flink(options: PipelineOptions, name: str) -> bool:
    """Cancel the job of that name on the Flink cluster of ``options``, where it is at work.

    Returns:
        Whether the options name a Flink cluster; else there was nothing to ask.

    Raises:
        OSError: the cluster does not answer.
        LookupError: several jobs have that name.
    """
    master = options.view_as(FlinkRunnerOptions).flink_master
    if options.view_as(StandardOptions).runner != "FlinkRunner" or master in MAGIC_HOST_NAMES:
        return False
    address = FlinkRunner.add_http_scheme(master).rstrip("/")
    jobs = _ask("GET", f"{address}/jobs/overview")["jobs"]
    ids = [job["jid"] for job in jobs if job["name"] == name and job["state"] in _AT_WORK]
    if len(ids) > 1:
        raise LookupError(f"{len(ids)} jobs at {address} are named {name}: {', '.join(ids)}")
    for job_id in ids:
        _ask("PATCH", f"{address}/jobs/{job_id}?mode=cancel")
    return True


def _ask(method: str, url: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=_SECONDS) as response:
        return json.load(response)
