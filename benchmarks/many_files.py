"""A manifest of 64 Parquet files, planned by one worker process and by two.

    python -m benchmarks.many_files 10000000

Reading the pieces, the shuffle and the plan of the shards, as the job does them; nothing is fetched, no model runs.
"""

import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from pipeline.config import config_of
from pipeline.launch.runners import pipeline_options, runner_of
from transforms.blocks import ReadBlocks
from transforms.dealing import bucket_count
from transforms.manifest import Manifest, survey_manifest
from transforms.records import Shard
from transforms.shards import PlanShards
from transforms.storage import Storage
from transforms.table import TableLocation

FILES = 64
SHARD = 1024


def main(
    lines: Annotated[int, typer.Argument(help="of all files together")] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="of one and two workers in turn")] = 1,
) -> None:
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name), lines)
        for number in range(rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                launcher, children = cpu_seconds()
                seconds[workers].append(plan(name, lines, workers))
                spent = [now - before for now, before in zip(cpu_seconds(), (launcher, children), strict=True)]
                # On a machine that is busy otherwise these tell, and the clock does not.
                print(  # noqa: T201
                    f"{workers} worker processes: {seconds[workers][-1]:.1f} s; CPU {spent[0]:.1f} s of the launcher, "
                    f"{spent[1]:.1f} s of the workers together",
                    flush=True,
                )
    one, two = (statistics.median(seconds[workers]) for workers in (1, 2))
    print(f"{lines:,} lines in {FILES} files: two / one {two / one:.2f}; at most 0.6")  # noqa: T201


def cpu_seconds() -> tuple[float, float]:
    """Of this process, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), children.ru_utime + children.ru_stime


def plan(folder: str, lines: int, workers: int) -> float:
    """Seconds, without the start of the processes' interpreters."""
    # Both have processes of their own, so that the number of them is all that differs.
    options = pipeline_options(config_of({"run": {"workers": workers}}), ["--direct_running_mode=multi_processing"])
    storage = Storage()
    manifest = Manifest(folder)
    started = time.monotonic()
    survey = survey_manifest(manifest, storage)
    assert survey.count == lines
    manifest = Manifest(folder, pieces=survey.pieces, extra_columns=survey.extra_columns)
    pipeline = beam.Pipeline(runner=runner_of(options), options=options)
    buckets = bucket_count(lines, SHARD)
    blocks = pipeline | ReadBlocks(manifest, TableLocation(f"{folder}/out", "run", "none"), storage, buckets)
    shards = blocks | PlanShards(buckets)
    _ = shards | beam.Map(_count) | beam.CombineGlobally(sum) | beam.Map(_check, lines)
    pipeline.run().wait_until_finish()
    return time.monotonic() - started


def _count(shards: tuple[Shard, ...]) -> int:
    return sum(len(shard.refs) for shard in shards)


def _check(found: int, lines: int) -> None:
    if found != lines:
        raise RuntimeError(f"{found:,} of {lines:,} images were planned")


def write_files(folder: Path, lines: int) -> None:
    each = -(-lines // FILES)
    for number in range(FILES):
        places = range(number * each, min(lines, (number + 1) * each))
        table = pa.table(
            {
                "uri": [f"s3://bucket/photos/{i % 1000:03d}/{i:012d}.jpg" for i in places],
                "label": [i % 1000 for i in places],
                "site": [f"site {i % 7}" for i in places],
            }
        )
        pq.write_table(table, folder / f"part-{number:05d}.parquet")


if __name__ == "__main__":
    typer.run(main)
