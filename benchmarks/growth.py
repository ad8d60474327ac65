"""Section 6: a hundred times as many images take a hundred times as long, and the same memory."""

import functools
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from benchmarks.jobs import JobOfPhotos
from benchmarks.loaders import cpu_seconds, started
from benchmarks.measure import Finding, at_most, resident_bytes
from benchmarks.photos import Photos
from pipeline.config.read import load_config
from pipeline.job import prepare_job
from transforms.loaders import LoaderPool
from transforms.records import Shard, ShardResult, image_id_of
from transforms.storage.storage import Storage
from transforms.table.parts import encode_part

_SECONDS, _BYTES = 60.0, 2 << 30
_SETTINGS = ("model.source=none", "model.input_size=32", "run.shard_size=250", "overlays.policy=none")


def growth(folder: Path, rounds: int, counts: tuple[int, ...] = (1_000, 10_000, 100_000)) -> Iterator[Finding]:
    """Time per image and peak memory of ever larger jobs, each over the first, with small pictures and no model."""
    small = _small_pictures(folder / "small")
    jobs = [JobOfPhotos(small.repeated(folder / f"links-{n}", n), folder / f"growth-{n}", *_SETTINGS) for n in counts]
    per_image = {n: [] for n in counts}
    memory = {}
    with started(jobs[0].loaders) as pool:
        clock = functools.partial(cpu_seconds, pool)
        jobs[0].seconds(clock)  # imports, threads and buffers of the first time
        for _ in range(rounds):
            for count, job in zip(counts, jobs, strict=True):
                with _PeakMemory(pool) as peak:
                    per_image[count].append(job.seconds(clock) / count)
                memory.setdefault(count, peak.bytes)
    for count in counts[1:]:
        found = tuple(later / first for later, first in zip(per_image[count], per_image[counts[0]], strict=True))
        name = f"{count:,} / {counts[0]:,} images"
        yield Finding("6 growth", f"{name}: CPU time per image", found, at_most(1.10))
        yield Finding("6 growth", f"{name}: peak memory", (memory[count] / memory[counts[0]],), at_most(1.05))


def resumed(folder: Path, lines: int = 1_000_000) -> Iterator[Finding]:
    """A manifest whose images all have their rows: planned and found done, by the command in a process of its own."""
    config = [f"output.path={folder / 'out'}", f"input.manifest={folder / 'manifest.txt'}", "model.source=none"]
    _write_finished_run(folder, lines, config)
    # --set before each.
    command = [sys.executable, "-m", "pipeline", "run", *itertools.chain(*(("--set", setting) for setting in config))]
    start, most = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        most = max(most, _high_water_bytes(process.pid))
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    share = lines / 1_000_000
    name = f"{lines:,} lines, all done"
    yield Finding("6 growth", f"{name}: time / a minute per million", (seconds / (_SECONDS * share),), at_most(1.0))
    yield Finding("6 growth", f"{name}: peak memory / 2 GiB", (most / _BYTES,), at_most(1.0))


def _high_water_bytes(pid: int) -> int:
    """The most memory that a process has had in RAM; ``wait4`` would count what it inherited of us at its fork."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)  # none once it ended


def _write_finished_run(folder: Path, lines: int, config: list[str], rows_of_part: int = 1000) -> None:
    folder.mkdir(parents=True)
    uris = [f"/data/images/{i // 1000:04d}/photo-{i:08d}.jpg" for i in range(lines)]
    (folder / "manifest.txt").write_text("\n".join(uris))
    storage = Storage()
    job = prepare_job(load_config(None, [*config, "run.id=earlier", "input.limit=1"]), storage, lambda message: None)
    table, schema = job.settings.table, job.settings.schema
    for first in range(0, lines, rows_of_part):
        some = uris[first : first + rows_of_part]
        known = {"uri": some, "image_id": [image_id_of(uri) for uri in some], "status": ["OK"] * len(some)}
        known |= {"run_id": ["earlier"] * len(some), "fingerprint": [table.fingerprint] * len(some)}
        columns = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(len(some), f.type) for f in schema]
        shard = Shard(f"{first:09d}", (), 0, 0, 0)
        rows = pa.table(columns, schema=schema)
        storage.put(table.run.part(shard.shard_id), encode_part(ShardResult(shard, rows, {}, {}), table), durable=False)


def _small_pictures(folder: Path) -> Photos:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    paths = []
    for i in range(50):
        paths.append(str(folder / f"{i}.jpg"))
        cv2.imwrite(paths[-1], cv2.resize(noise.integers(0, 256, (6, 6, 3), np.uint8), (48, 48)))
    return Photos("small pictures", tuple(paths))


class _PeakMemory:
    """The most resident memory of this process and its loaders while the block runs, looked at ten times a second."""

    def __init__(self, pool: LoaderPool | None):
        self._pids = [os.getpid(), *([] if pool is None else pool.pids())]

    def __enter__(self) -> "_PeakMemory":
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.bytes = max(self.bytes, sum(map(resident_bytes, self._pids)))
