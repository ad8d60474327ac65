"""What planning and resuming cost at sizes that no test explains: ``python -m benchmarks.scale 10000000``.

CPU seconds and peak memory of each step, a process of its own each, and what they come to for ten times and a hundred
times as many images. Nothing is fetched and no model runs.
"""

import itertools
import multiprocessing
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from apache_beam.coders import FastPrimitivesCoder
from rich.console import Console
from rich.table import Table

from pipeline.runs.progress import PartWatch
from transforms.dealing import bucket_count
from transforms.manifest.manifest import Manifest
from transforms.manifest.read import read_blocks, read_manifest
from transforms.manifest.survey import survey_manifest
from transforms.records import RefBlock, Shard, ShardResult, image_id_of
from transforms.shards import block_size, plan_shard, split_done, split_refs
from transforms.storage.storage import Storage
from transforms.table.done import read_earlier_parts, write_earlier_parts
from transforms.table.location import OutputLayout, TableLocation
from transforms.table.parts import encode_part, list_parts
from transforms.table.schema import statistics_schema

SHARD = 1024  # the automatic size, from 16,384 images on
MANY_PARTS = 100_000
READ_PARTS = 2_000  # links to one part of SHARD images
PLANNED = 50  # shards

Counts = dict[str, float]


def survey(folder: Path, lines: int) -> Counts:
    return {"per": survey_manifest(Manifest(str(folder / "manifest.txt")), Storage()).count}


def read_and_key(folder: Path, lines: int) -> Counts:
    """What the one worker that reads the manifest does: references, by bucket, encoded for the shuffle."""
    coder, buckets = FastPrimitivesCoder(), bucket_count(lines, SHARD)
    count = size = elements = 0
    for block in read_blocks(Manifest(str(folder / "manifest.txt")), Storage(), block_size(buckets)):
        count += len(block.refs)
        for keyed in split_refs(block, buckets):
            size += len(coder.encode(keyed))
            elements += 1
    return {"per": count, "GB shuffled": size / 1e9, "elements": elements}


def plan(folder: Path, lines: int) -> Counts:
    """Some shards, as many references each as the whole manifest would give them."""
    refs = itertools.islice(read_manifest(Manifest(str(folder / "manifest.txt")), Storage()), PLANNED * SHARD)
    groups = defaultdict(list)
    for bucket, some in split_refs(RefBlock(0, tuple(refs)), PLANNED):
        groups[bucket].append(some)
    started = time.process_time()
    planned = [plan_shard(bucket, some) for bucket, some in groups.items()]
    return {"per": sum(len(shard.refs) for shard in planned), "seconds": time.process_time() - started}


def list_many_parts(folder: Path, lines: int) -> Counts:
    return {"per": SHARD * sum(1 for _ in list_parts(OutputLayout(f"{folder}/many").statistics, Storage()))}


def read_done(folder: Path, lines: int) -> Counts:
    """The images of earlier parts, as a run that resumes reads them; keyed for the shuffle."""
    storage, table = Storage(), _table(folder / "some")
    parts = sorted(str(part) for part in (folder / "some").rglob("part-*"))
    write_earlier_parts(table, parts, storage)
    count = 0
    for done in read_earlier_parts(table, storage):
        count += len(done.image_ids)
        for _ in split_done(done, bucket_count(lines, SHARD)):
            pass
    return {"per": count}


def watch(folder: Path, lines: int) -> Counts:
    """The footers of parts, as the launcher reads each once while they appear."""
    return {"per": PartWatch(_table(folder / "some"), (), Storage()).look().images}


STEPS: dict[str, Callable[[Path, int], Counts]] = {
    "survey of the manifest, at launch": survey,
    "manifest read and keyed, one worker": read_and_key,
    "shards planned, all workers": plan,
    f"list of {MANY_PARTS:,} parts": list_many_parts,
    "done images read, one worker": read_done,
    "footers read while parts appear": watch,
}


def scale(lines: Annotated[int, typer.Argument(min=100_000)] = 1_000_000) -> None:
    console = Console(highlight=False, width=120)
    table = Table(title=f"{lines:,} references in shards of {SHARD}", title_justify="left")
    for name in ("step", "µs CPU per image", "peak MB", "CPU at 10^6", "at 10^8", "at 10^9", ""):
        table.add_column(name, justify="left" if name in ("step", "") else "right")
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        folder = Path(temporary)
        _write_manifest(folder / "manifest.txt", lines)
        _link_parts(folder)
        for name, step in STEPS.items():
            counts, seconds, peak = _in_a_process(step, folder, lines)
            each = counts.pop("seconds", seconds) / counts.pop("per")
            more = ", ".join(f"{value:,.2f} {what}" for what, value in counts.items())
            times = [_duration(each * images) for images in (1e6, 1e8, 1e9)]
            table.add_row(name, f"{each * 1e6:.2f}", f"{peak / 1e6:,.0f}", *times, more)
    console.print(table)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _write_manifest(path: Path, lines: int) -> None:
    with path.open("w") as file:
        file.writelines(f"gs://bucket/photos/{i // 1000:06d}/photo-{i:09d}.jpg\n" for i in range(lines))


def _table(output: Path) -> TableLocation:
    return TableLocation(str(output), "r1", "fake")


def _link_parts(folder: Path) -> None:
    """One part of SHARD images under many names: to list and to read them costs what as many parts do."""
    schema, ids = statistics_schema(), [image_id_of(str(i)) for i in range(SHARD)]
    maps = list(np.random.default_rng(0).random((SHARD, 49), np.float32))
    known = {"image_id": ids, "status": ["OK"] * SHARD, "cam": maps}
    columns = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(SHARD, f.type) for f in schema]
    result = ShardResult(Shard("00000-0", (), 0, 0, 0), pa.table(columns, schema=schema), {}, {})
    first = folder / "part"
    first.write_bytes(encode_part(result, _table(folder)))
    for place, count in (("some", READ_PARTS), ("many", MANY_PARTS)):
        parts = folder / place / "statistics" / "run=r1"
        parts.mkdir(parents=True)
        for i in range(count):
            if i % 50_000 == 0:  # a file has at most 65,000 names
                original = shutil.copy(first, parts / f"part-{i:05d}-0.parquet")
            else:
                os.link(original, parts / f"part-{i:05d}-0.parquet")


def _in_a_process(step: Callable[[Path, int], Counts], folder: Path, lines: int) -> tuple[Counts, float, int]:
    """What a step counted, its CPU seconds without imports, and the peak memory of its process in bytes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_step, args=(step, folder, lines, theirs))
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def _step(step: Callable[[Path, int], Counts], folder: Path, lines: int, to_parent: Connection) -> None:
    started = time.process_time()
    counts = step(folder, lines)
    seconds = time.process_time() - started
    # Not getrusage's ru_maxrss, which begins with what the parent had.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    to_parent.send((counts, seconds, 1024 * int(peak.split()[1])))


if __name__ == "__main__":
    typer.run(scale)
