"""Runs whose maps are chosen by the test: real photos on disk, real rows, real parts, real summaries."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import simplejpeg
import skimage.data
from fakes import CARD

from pipeline.config.read import redacted
from pipeline.config.schema import Config
from pipeline.job import Job
from pipeline.launch.summary import summarize
from pipeline.runs.progress import PartWatch
from pipeline.runs.record import close_run, open_run, utc_now
from transforms.explain.loading import FailedImage, ImageLoader
from transforms.explain.rows import explained_rows, failed_rows
from transforms.explain.settings import ExplainSettings
from transforms.manifest.manifest import Manifest
from transforms.manifest.survey import ManifestSummary
from transforms.model.explanation import BatchExplanation
from transforms.records import Box, ImageRef, Shard, ShardResult, image_id_of
from transforms.storage.storage import Storage
from transforms.table.commit import Totals, write_part, write_totals
from transforms.table.embeddings import embedding_table
from transforms.table.location import TableLocation
from transforms.table.schema import statistics_schema

NAMES = ("cat", "cup", "rocket")
GRID = 7
AUDIT_CARD = dataclasses.replace(
    CARD, fingerprint="f" * 16, input_height=56, input_width=56, class_names=NAMES, cam_height=GRID, cam_width=GRID
)


@dataclasses.dataclass(frozen=True)
class Example:
    """One image, its scores and the map of its predicted class."""

    name: str
    cam: np.ndarray  # [7, 7]
    scores: tuple[float, float, float]
    label: str | None = None
    boxes: tuple[Box, ...] | None = None
    extra: tuple[str | None, ...] = ()
    kept: float = 0.75  # of the probability, on the features under the map
    removed: float = 0.25  # on the others
    is_missing: bool = False  # the manifest names it, but there is no such file


def blob(x: float, y: float, width: float = 0.15, height: float = 1.0) -> np.ndarray:
    """A Gaussian hill at (x, y) in 0..1 of the input."""
    centres = (np.arange(GRID) + 0.5) / GRID
    squared = (centres[None, :] - x) ** 2 + (centres[:, None] - y) ** 2
    return (height * np.exp(-squared / (2 * width**2))).astype(np.float32)


@functools.cache
def _photos() -> tuple[np.ndarray, ...]:
    return skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()


def write_photo(folder: Path, name: str) -> str:
    """A crop of a real photo; the same name gives the same crop."""
    rng = np.random.default_rng(list(name.encode()))
    photo = _photos()[rng.integers(3)]
    top, left = rng.integers(0, photo.shape[0] - 160), rng.integers(0, photo.shape[1] - 200)
    crop = np.ascontiguousarray(photo[top : top + 160, left : left + 200])
    path = folder / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(simplejpeg.encode_jpeg(crop, 85))
    return str(path)


def write_run(
    output: Path,
    run_id: str,
    examples: list[Example],
    regions: dict[str, Box] | None = None,
    extra_columns: tuple[str, ...] = (),
    fingerprint: str = AUDIT_CARD.fingerprint,
    config: Config | None = None,
    events: dict[str, int] | None = None,
    model_digest: str = "",
    embeddings: dict[str, np.ndarray] | None = None,
) -> Path:
    """Make the files of a finished run; photos lie in ``<output>/../photos``. Returns the folder of the run.

    ``embeddings`` are by the names of the examples.
    """
    storage = Storage()
    card = dataclasses.replace(AUDIT_CARD, fingerprint=fingerprint)
    settings = ExplainSettings(
        table=TableLocation(
            str(output), run_id, fingerprint, model_digest=model_digest, embeddings="features" if embeddings else ""
        ),
        schema=statistics_schema(tuple(regions or ()), extra_columns),
        regions=tuple((regions or {}).items()),
        extra_columns=extra_columns,
    )
    refs = []
    for example in examples:
        uri = str(output.parent / "photos" / f"{example.name}.jpg")
        if not example.is_missing:
            write_photo(output.parent / "photos", example.name)
        refs.append(ImageRef(uri, image_id_of(uri), label=example.label, boxes=example.boxes, extra=example.extra))
    config = config or Config()
    manifest = str(output.parent / "manifest.csv")
    job = Job(
        manifest=Manifest(manifest),
        survey=ManifestSummary(len(refs), extra_columns),
        card=card,
        load_model=lambda: None,  # type: ignore[arg-type, return-value]
        settings=settings,
        buckets=1,
        storage=storage,
    )
    open_run(settings.table, manifest, len(refs), redacted(config), storage)
    started, watch = utc_now(), PartWatch(settings.table, (), storage)
    storage.put(f"{output}/models/{fingerprint}/explanation.json", json.dumps(dataclasses.asdict(card)).encode())
    loader = ImageLoader(card, settings, storage)
    loaded = [loader.load(ref) for ref in refs]
    kept = [
        (image, example) for image, example in zip(loaded, examples, strict=True) if not isinstance(image, FailedImage)
    ]
    failures = [image for image in loaded if isinstance(image, FailedImage)]
    tables = [failed_rows(failures, settings)] if failures else []
    if kept:
        explanation = _explanation([example for _, example in kept])
        tables.append(explained_rows([image for image, _ in kept], explanation, card, settings))
    for number, table in enumerate(tables):
        part_refs = tuple(ref for ref in refs if ref.image_id in set(table["image_id"].to_pylist()))
        shard = Shard(f"{number:05d}-test", part_refs, 0, 0, 0)
        result = ShardResult(shard, table, {"compute": 1.0}, {"batches": 1, **(events or {})})
        if embeddings is not None:
            result = dataclasses.replace(result, embeddings=_embedded(table, embeddings))
        write_part(result, settings.table, storage)
    write_totals(Totals(planned=len(refs)), settings.table, storage)
    summary = summarize(config, job, watch.look(), started, 0.5, 2.0)
    close_run(settings.table, summary, storage)
    return output / "runs" / run_id


def _embedded(rows: pa.Table, embeddings: dict[str, np.ndarray]) -> pa.Table:
    there = rows.filter(pc.equal(rows["status"], "OK"))
    uris = there["uri"].to_pylist()
    features = [embeddings[Path(uri).stem] for uri in uris] or [np.zeros(2)]
    predicted = there["predicted_index"].combine_chunks()
    values = np.array(features, np.float16)[: len(uris)]
    return embedding_table(there["image_id"].to_pylist(), uris, predicted, values, None)


def _explanation(examples: list[Example]) -> BatchExplanation:
    scores = np.array([example.scores for example in examples], np.float32)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    predicted = scores.argmax(axis=1)[:, None]
    cams = np.stack([example.cam for example in examples]).astype(np.float32)[:, None]
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    own = np.take_along_axis(probabilities, predicted, axis=1)
    return BatchExplanation(
        cams=cams,
        classes=predicted.astype(np.int32),
        scores=scores,
        probabilities=probabilities,
        target_scores=np.take_along_axis(scores, predicted, axis=1),
        evidence=cams.sum(axis=(2, 3)),
        kept_probabilities=own * np.array([[example.kept] for example in examples], np.float32),
        removed_probabilities=own * np.array([[example.removed] for example in examples], np.float32),
        guarded=np.zeros(predicted.shape, np.int32),
        finite=np.isfinite(cams).all(axis=(2, 3)),
    )
