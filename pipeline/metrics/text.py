"""The numbers of a run as OpenMetrics 1.0 text, made of the parts that have appeared."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping

from pipeline.runs import Progressed
from transforms.records import Status


@dataclasses.dataclass(frozen=True)
class RunState:
    """A run at one moment."""

    run_id: str
    fingerprint: str
    lines: int  # of the manifest
    started: str  # ISO 8601
    progressed: Progressed
    exit_code: int | None = None  # None: the run goes on


def metrics_text(state: RunState, now: float) -> str:
    """Families of gauges and counters, and ``# EOF``.

    Args:
        now: seconds since 1970.
    """
    run = {"run_id": state.run_id}
    done = state.progressed
    started = datetime.datetime.fromisoformat(state.started).timestamp()
    families = [
        _family("run", "info", "The run.", [("_info", run | {"fingerprint": state.fingerprint}, 1)]),
        _family("manifest_lines", "gauge", "Lines of the manifest.", [("", run, state.lines)]),
        _family(
            "images", "counter", "Images that this run has explained or failed on.",
            [("_total", run | {"status": status}, done.statuses.get(status, 0)) for status in Status],
        ),
        _family("failures", "counter", "Images that failed.", [("_total", run, done.failures)]),
        _family("rows", "counter", "Rows of the table.", [("_total", run, done.rows)]),
        _family("parts", "counter", "Parts of the table.", [("_total", run, done.parts)]),
        _family(
            "step_seconds", "counter", "Time of each step, added up over threads and processes.",
            [("_total", run | {"step": step}, seconds) for step, seconds in sorted(done.seconds.items())],
        ),
        _family(
            "events", "counter", "Batches, retries, back-offs, bytes and the like.",
            [("_total", run | {"event": event}, count) for event, count in sorted(done.events.items())],
        ),
        _family("started_timestamp_seconds", "gauge", "When the run was launched.", [("", run, round(started, 3))]),
        _family("updated_timestamp_seconds", "gauge", "When this was written.", [("", run, round(now, 3))]),
        _family("running", "gauge", "1 while the run goes on.", [("", run, int(state.exit_code is None))]),
    ]  # fmt: skip
    if state.exit_code is not None:
        families.append(_family("exit_code", "gauge", "As of the command line.", [("", run, int(state.exit_code))]))
    return "".join(families) + "# EOF\n"


def _family(name: str, kind: str, told: str, samples: Iterable[tuple[str, Mapping[str, str], float]]) -> str:
    name = f"beam_gradcam_{name}"
    lines = [f"# TYPE {name} {kind}", f"# HELP {name} {told}"]
    for suffix, labels, value in samples:
        quoted = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{suffix}{{{quoted}}} {value!r}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
