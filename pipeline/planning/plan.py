"""A config -> what its run would read, write, take and cost, with the range that this is known to."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence

from pipeline.config import Config
from pipeline.job import prepare_job
from pipeline.methods import settle_method
from pipeline.planning.sample import Timed, time_sample
from pipeline.planning.scan import Scan, scan_manifest
from transforms.dealing import deal
from transforms.manifest import survey_manifest
from transforms.storage import Doors, Storage
from transforms.table import OutputLayout

IMAGES = 64
_NORMAL_95 = 1.96


@dataclasses.dataclass(frozen=True)
class Range:
    """An expected number, and between what it probably lies."""

    expected: float
    low: float
    high: float

    def times(self, factor: float) -> "Range":
        return Range(self.expected * factor, self.low * factor, self.high * factor)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run would take. Nothing was written to its output."""

    lines: int
    images: int
    done_before: int
    to_explain: int
    shards: int
    refused: dict[str, int]  # images that the doors refuse, by why
    refused_examples: tuple[str, ...]
    sample: Timed | None  # None: nothing is left to explain, or nothing may be fetched
    read_requests: int
    written_files: int
    bytes_read: Range
    bytes_written: Range
    prepare_seconds: float  # survey, compilation, check: measured
    hours: Range  # of one machine like this one
    costs: dict[float, Range]  # by price of an hour
    basis: str


def plan_run(config: Config, prices: Sequence[float], say: Callable[[str], None]) -> Plan:
    """Survey the manifest, compile the model and time a sample of 64 images, all in a folder that is thrown away.

    Raises:
        ConfigError, ManifestError, ModelRefused: as the run would.
    """
    clock = time.monotonic()
    inputs = config.input
    doors = Doors.of_manifest(inputs.manifest, inputs.allowed_schemes, inputs.allowed_roots)
    storage = Storage(config.storage, doors, inputs.timeout)
    output = storage.absolute(config.output.path)
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-plan-") as folder:
        settled = settle_method(config, storage, say, measure=False)
        for note in settled.notes:
            say(note)
        config = settled.config
        elsewhere = config.model_copy(update={"output": config.output.model_copy(update={"path": folder})})
        job = prepare_job(elsewhere, storage, say)
        # Nobody else writes to the folder: without a token there is no lease to hold.
        table = dataclasses.replace(job.settings.table, token=None)
        job = dataclasses.replace(
            job,
            manifest=dataclasses.replace(job.manifest, left_out=(OutputLayout(output).root,)),
            settings=dataclasses.replace(job.settings, table=table),
        )
        prepared = time.monotonic() - clock
        scan = scan_manifest(job, output, config.run.resume)
        refs = survey_manifest(job.manifest, storage, IMAGES).sample
        timed = None
        if scan.to_explain and refs:
            say(f"timing {len(refs)} images through every step")
            timed = time_sample(job, refs)
    dealt = deal(scan.to_explain, job.survey.count, config.run.shard_size, config.run.workers)
    shards = min(dealt.shards_of(scan.to_explain), scan.to_explain)
    return _plan(config, scan, shards, timed, prepared, prices)


def _plan(
    config: Config, scan: Scan, shards: int, timed: Timed | None, prepared: float, prices: Sequence[float]
) -> Plan:
    nothing = Range(0.0, 0.0, 0.0)
    read, written, seconds = nothing, nothing, nothing
    files = 0
    basis = "nothing is left to explain"
    if timed is not None:
        scale = scan.to_explain / timed.images
        spread = _NORMAL_95 * timed.byte_spread
        read = Range(timed.bytes_read, timed.bytes_read * (1 - spread), timed.bytes_read * (1 + spread)).times(scale)
        made = timed.bytes_of_overlays + timed.bytes_of_rows + timed.bytes_of_embeddings
        written = Range(made, made * (1 - spread), made * (1 + spread)).times(scale)
        first, quickest, slowest = timed.seconds[0], min(timed.seconds), max(timed.seconds)
        seconds = Range(first, quickest * (1 - spread), slowest * (1 + spread)).times(scale)
        in_tar = config.overlays.policy == "tar"
        files = shards * (2 if timed.bytes_of_embeddings else 1)
        files += (shards if timed.overlays else 0) if in_tar else round(timed.overlays * scale)
        rounds = ", ".join(f"{each:.2f}" for each in timed.seconds)
        basis = (
            f"{timed.images} images of the manifest through every step in one process of this machine, "
            f"{len(timed.seconds)} times: {rounds} s. Expected is the first, when nothing was in a cache; the range "
            f"goes from the quickest to the slowest, wider by the 95 % interval of the images' mean size "
            f"({spread:.0%}). Written was to a local disk, not to the output"
        )
    hours = Range(*(value / 3600 for value in dataclasses.astuple(seconds)))
    hours = Range(*(value + prepared / 3600 for value in dataclasses.astuple(hours)))
    return Plan(
        lines=scan.lines,
        images=scan.images,
        done_before=scan.done,
        to_explain=scan.to_explain,
        shards=shards,
        refused=scan.refused,
        refused_examples=scan.refused_examples,
        sample=timed,
        read_requests=scan.to_explain * (2 if config.input.detect_changes else 1),
        written_files=files,
        bytes_read=read,
        bytes_written=written,
        prepare_seconds=round(prepared, 2),
        hours=hours,
        costs={price: hours.times(price) for price in prices},
        basis=basis,
    )
