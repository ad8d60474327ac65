"""Whole jobs in this process, and the parts that no job can do without, done alone."""

import dataclasses
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.measure import Clock, Work, seconds_of
from benchmarks.photos import Photos
from pipeline.config.read import load_config
from pipeline.job import Job, prepare_job
from pipeline.launch.execution import execute
from pipeline.launch.runners import pipeline_options
from transforms.images.decode import decode_image
from transforms.images.resize import shrink
from transforms.machine import available_cpus
from transforms.overlays.render import encode, render_overlay
from transforms.overlays.settings import OverlaySettings
from transforms.placement import place
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
        manifest = photos.write_manifest(folder / "manifest.txt")
        self._config = load_config(None, [f"input.manifest={manifest}", f"output.path={folder / 'out'}", *settings])

    def seconds(self, clock: Clock) -> float:
        """From the manifest to the last part and overlay; not the survey of the manifest and the compiled model."""
        job = self._prepared()
        options = pipeline_options(self._config, ())
        seconds = seconds_of(lambda: execute(job, options, lambda: None), clock)
        self._check(job)
        return seconds

    def steps(self) -> dict[str, float]:
        """Seconds by step of the last time, as the parts say: added up over threads, ``WHOLE`` by the clock."""
        steps = Counter[str]()
        for part in list_parts(OutputLayout(self._config.output.path).statistics, Storage()):
            steps.update(read_footer(part, Storage()).seconds)
        return dict(steps)

    def _prepared(self) -> Job:
        for name in ("statistics", "overlays"):
            shutil.rmtree(self._folder / "out" / name, ignore_errors=True)
        job = prepare_job(self._config, Storage(), lambda message: None)
        table = dataclasses.replace(job.settings.table, token=None)  # nobody else writes here: no lease to look at
        write_earlier_parts(table, [], job.storage)
        return dataclasses.replace(job, settings=dataclasses.replace(job.settings, table=table))

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


class Floor:
    """Decode and encode of some photos, as the job has to do them, on all cores and with nothing in between."""

    def __init__(self, photos: Photos, height: int = 224, width: int = 224):
        self._need = (height, width)
        self._encoded = [Path(path).read_bytes() for path in photos.paths]
        self._overlays = [self._overlay(encoded) for encoded in self._encoded]

    def decode(self) -> None:
        self._on_all_cores(
            lambda encoded: decode_image(encoded, need=self._need, max_side=_LOOK.max_side), self._encoded
        )

    def encode(self) -> None:
        self._on_all_cores(lambda overlay: encode(overlay, _LOOK.format, _LOOK.quality), self._overlays)

    def seconds(self, clock: Clock, *further: Work) -> float:
        """Of decode, encode and what else belongs to it, one after the other, each with all cores to itself."""
        return sum(seconds_of(work, clock) for work in (self.decode, self.encode, *further))

    def _overlay(self, encoded: bytes) -> np.ndarray:
        decoded = decode_image(encoded, need=self._need, max_side=_LOOK.max_side)
        placement = place(decoded.width, decoded.height, *self._need, "stretch")
        ramp = np.linspace(-1, 1, 49, dtype=np.float32).reshape(7, 7)
        return render_overlay(shrink(decoded, _LOOK.max_side), ramp, placement, _LOOK.opacity, _LOOK.colormap)

    def _on_all_cores(self, function, elements) -> None:
        with ThreadPoolExecutor(available_cpus()) as pool:
            for _ in pool.map(function, elements):
                pass
