"""Whole jobs in this process, and the parts that no job can do without, done alone."""

import dataclasses
from collections import Counter
from pathlib import Path

from benchmarks.measure import Clock, seconds_of
from benchmarks.photos import Photos
from pipeline.config.read import load_config
from pipeline.job import Job, prepare_job
from pipeline.launch.execution import execute
from pipeline.launch.runners import pipeline_options
from transforms.overlays.settings import OverlaySettings
from transforms.storage.storage import Storage
from transforms.table.done import write_earlier_parts
from transforms.table.location import OutputLayout
from transforms.table.parts import list_parts, read_footer

_LOOK = OverlaySettings()


class JobOfPhotos:
    """The job over some photos, run again and again from nothing; the model stays loaded after the first time."""

    def __init__(self, photos: Photos, folder: Path, *settings: str):
        folder.mkdir(parents=True)
        self.photos = photos
        self._folder = folder
        self._turn = 0
        manifest = photos.write_manifest(folder / "manifest.txt")
        self._config = load_config(None, [f"input.manifest={manifest}", f"output.path={folder / 'out'}", *settings])

    def seconds(self, clock: Clock) -> float:
        """From the manifest to the last part and overlay; not the survey of the manifest and the compiled model."""
        job = self._prepared()
        options = pipeline_options(self._config, ())
        seconds = seconds_of(lambda: execute(job, options, lambda: None), clock)
        self._check(job)
        return seconds

    @property
    def loaders(self) -> int:
        """How many loader processes the job has."""
        return self._prepared().loaders.here()

    def steps(self) -> dict[str, float]:
        """Seconds by step of the last time, as the parts say: added up over threads, ``WHOLE`` by the clock."""
        steps = Counter[str]()
        for part in list_parts(OutputLayout(self._config.output.path).statistics, Storage()):
            steps.update(read_footer(part, Storage()).seconds)
        return dict(steps)

    def _prepared(self) -> Job:
        self._put_aside()
        job = prepare_job(self._config, Storage(), lambda message: None)
        table = dataclasses.replace(job.settings.table, token=None)  # nobody else writes here: no lease to look at
        write_earlier_parts(table, [], job.storage)
        return dataclasses.replace(job, settings=dataclasses.replace(job.settings, table=table))

    def _put_aside(self) -> None:
        """What the last time has written is kept until all is over.

        Where ext4 has no journal, a new file costs five times as much for half a minute after others were removed: a
        job that comes after a removal would be timed with it, and the steps alone would not.
        """
        self._turn += 1
        for name in ("statistics", "overlays"):
            written = self._folder / "out" / name
            if written.exists():
                written.rename(self._folder / f"{name}-{self._turn}")

    def _check(self, job: Job) -> None:
        footers = [
            read_footer(part, job.storage) for part in list_parts(job.settings.table.run.statistics, job.storage)
        ]
        images = sum(footer.images for footer in footers)
        failed = sum(
            footer.statuses.get("DECODE_ERROR", 0) + footer.statuses.get("FETCH_ERROR", 0) for footer in footers
        )
        if images != len(self.photos.paths) or failed:
            raise RuntimeError(f"{images} images of {len(self.photos.paths)}, {failed} failed: nothing to compare")
