"""A job with the fake model, as a process of its own: ``python jobs.py PLACE [beam options]``.

``PLACE`` is a JSON file with the arguments of :func:`job_of`. Exits with 0, or 70 where the job stopped.
"""

import atexit
import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from fakes import CARD, FakeModel
from gate import Gate

from pipeline.config.schema import Config
from pipeline.exit_codes import ExitCode
from pipeline.job import Job
from pipeline.launch.execution import execute
from pipeline.launch.runners import pipeline_options
from transforms.explain.settings import ExplainSettings
from transforms.loaders import LoaderCount
from transforms.manifest.manifest import Manifest
from transforms.manifest.survey import ManifestSummary
from transforms.model.explanation import BatchExplanation
from transforms.storage.access import Doors
from transforms.storage.storage import Storage
from transforms.table.done import write_earlier_parts
from transforms.table.location import TableLocation
from transforms.table.parts import list_parts
from transforms.table.schema import statistics_schema
from transforms.targets import TargetPolicy

EXIT_STOPPED = ExitCode.CRASH


@dataclasses.dataclass(frozen=True)
class NotingModel(FakeModel):
    """The fake model, which notes when and where a batch came, and may have to wait at a gate then."""

    notes: str
    gate: Gate | None

    card = CARD

    def explain(self, images: np.ndarray, targets: np.ndarray) -> BatchExplanation:
        line = {"pool": os.environ.get("WORKER_POOL"), "pid": os.getpid(), "time": time.time()}
        with open(f"{self.notes}/{os.getpid()}.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        if self.gate:
            self.gate.wait()
        return super().explain(images, targets)


@dataclasses.dataclass(frozen=True)
class LoadNotingModel:
    notes: str
    gate: Gate | None

    def __call__(self) -> NotingModel:
        return NotingModel(self.notes, self.gate)


def job_of(
    folder: str, name: str, uris: list[str], buckets: int, gate: str | None = None, roots: tuple = (), loaders: int = 0
) -> Job:
    """A job over ``uris`` into ``<folder>/<name>``; ``gate`` is the folder of one before its model."""
    place = Path(folder)
    manifest = place / "manifest.txt"
    manifest.write_text("\n".join(uris))
    notes = place / f"notes-{name}"
    notes.mkdir(exist_ok=True)
    table = TableLocation(str(place / name), "r1", CARD.fingerprint)
    return Job(
        manifest=Manifest(str(manifest)),
        survey=ManifestSummary(len(uris), ()),
        card=CARD,
        load_model=LoadNotingModel(str(notes), Gate(Path(gate)) if gate else None),
        settings=ExplainSettings(table, statistics_schema(), TargetPolicy("predicted"), batch_size=8),
        buckets=buckets,
        storage=Storage(doors=Doors(allowed_roots=tuple(roots))),
        loaders=LoaderCount(loaders),
    )


def main() -> None:
    job = job_of(**json.loads(Path(sys.argv[1]).read_text()))
    options = pipeline_options(Config(), sys.argv[2:])
    table = job.settings.table
    write_earlier_parts(table, list_parts(f"{table.output}/statistics", job.storage), job.storage)
    try:
        execute(job, options, lambda: None)
    except Exception as error:  # noqa: BLE001 - its text and the exit code are what is tested
        print(f"stopped: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        atexit._run_exitfuncs()
        sys.stderr.flush()
        os._exit(EXIT_STOPPED)


if __name__ == "__main__":
    main()
