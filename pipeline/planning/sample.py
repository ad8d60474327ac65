"""Some images through every step of the job, with a clock beside it; the rows and overlays go to a folder of ours."""

import dataclasses
import time
from pathlib import Path

import numpy as np

from pipeline.job import Job
from transforms.explain import BatchExplainer, FailureLimit, Tally, explain_shard
from transforms.records import FAILURES, ImageRef, Shard
from transforms.table import embeddings_beside, image_statuses, write_part

ROUNDS = 3  # the first one finds nothing in any cache


@dataclasses.dataclass(frozen=True)
class Timed:
    """What a sample took."""

    images: int
    rows: int
    seconds: tuple[float, ...]  # of each round, all images
    failures: dict[str, int]  # images by status
    failure_examples: tuple[str, ...]
    bytes_read: int
    byte_spread: float  # standard error of the mean of the images' bytes, as a share of the mean
    overlays: int  # files
    bytes_of_overlays: int
    bytes_of_rows: int  # of the part
    bytes_of_embeddings: int  # of the file beside it; 0 where none are kept
    step_seconds: dict[str, float]  # of the first round, added up over threads


def time_sample(job: Job, refs: tuple[ImageRef, ...], rounds: int = ROUNDS) -> Timed:
    """Fetch, decode, explain, make rows and overlays, encode and write, as a worker does, ``rounds`` times.

    The model has seen a batch before the clock starts. What is written goes to the job's own table, which the caller
    has put into a folder that is thrown away.
    """
    explainer = BatchExplainer(job.load_model(), job.settings.batch_size)
    explain_shard(
        Shard("00000-warm", refs[:1], 0, 0, 0), explainer, job.settings, job.storage, FailureLimit(0), Tally()
    )
    seconds, first = [], None
    for number in range(rounds):
        tally = Tally()
        start = time.perf_counter()
        result = explain_shard(
            Shard(f"{number:05d}-plan", refs, 0, 0, 0), explainer, job.settings, job.storage, FailureLimit(0), tally
        )
        write_part(result, job.settings.table, job.storage)
        seconds.append(time.perf_counter() - start)
        first = first or result
    assert first is not None
    statuses = image_statuses(first.rows)
    failed = {image: status for image, status in statuses.items() if status in FAILURES}
    rows = first.rows.select(["image_id", "uri", "status", "error_message", "byte_count"]).to_pylist()
    sizes = np.array(list({row["image_id"]: row["byte_count"] for row in rows if row["byte_count"]}.values()), float)
    part = next(Path(job.settings.table.run.statistics).glob("*.parquet"))
    beside = Path(embeddings_beside(str(part)))
    overlays = [path for path in Path(job.settings.table.layout.overlays).rglob("*") if path.is_file()]
    return Timed(
        images=len(refs),
        rows=first.rows.num_rows,
        seconds=tuple(seconds),
        failures={status: list(failed.values()).count(status) for status in sorted(set(failed.values()))},
        failure_examples=tuple(f"{row['uri']}: {row['error_message']}" for row in rows if row["status"] in FAILURES)[
            :3
        ],
        bytes_read=first.events.get("bytes_read", 0),
        byte_spread=float(sizes.std(ddof=1) / np.sqrt(len(sizes)) / sizes.mean()) if len(sizes) > 1 else 0.0,
        overlays=len(overlays),
        bytes_of_overlays=sum(path.stat().st_size for path in overlays),
        bytes_of_rows=part.stat().st_size,
        bytes_of_embeddings=beside.stat().st_size if beside.exists() else 0,
        step_seconds=first.seconds,
    )
