"""Some images through the steps of a job's shard, and each result back to the image that it is of."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from beam_gradcam.sources import Source
from transforms.concurrency import WritesBehind
from transforms.explain import (
    BatchExplainer,
    ExplainSettings,
    FailedImage,
    FetchedImage,
    ImageLoader,
    LoadedImage,
    Tally,
    explain_batches,
    finish_batch,
    load_images,
)
from transforms.images import DecodedImage
from transforms.model import ModelCard
from transforms.placement import Placement
from transforms.records import ImageRef
from transforms.storage import Storage

Result = tuple[pa.Table, list[np.ndarray | None], Placement | None]
"""The rows of one image, the map of each, float32 [h, w], and where the image lies in the model input."""

_WRITERS = 16


@dataclasses.dataclass(frozen=True, eq=False)
class _ContentLoader(ImageLoader):
    """Images of which some are here already, encoded or as pixels; the others are fetched."""

    contents: Mapping[ImageRef, bytes | np.ndarray] = dataclasses.field(default_factory=dict)

    def read(self, ref: ImageRef) -> bytes:
        content = self.contents.get(ref)
        if content is None:
            return super().read(ref)
        return content if isinstance(content, bytes) else b""

    def decode(self, fetched: FetchedImage | FailedImage) -> LoadedImage | FailedImage:
        pixels = self.contents.get(fetched.ref)
        if isinstance(fetched, FailedImage) or not isinstance(pixels, np.ndarray):
            return super().decode(fetched)
        with self.tally.timing("decode"):
            return self.place(fetched, DecodedImage(pixels, pixels.shape[1], pixels.shape[0]), None, None)


def load_sources(
    sources: Sequence[Source], card: ModelCard, settings: ExplainSettings, storage: Storage, tally: Tally
) -> Generator[LoadedImage | FailedImage]:
    """Images as the model takes them, each once, in order."""
    contents = {source.ref: source.content for source in sources if source.content is not None}
    loader = _ContentLoader(card, settings, storage, tally, contents)
    return load_images(dict.fromkeys(source.ref for source in sources), loader)


def explain_sources(
    sources: Sequence[Source], explainer: BatchExplainer, settings: ExplainSettings, storage: Storage, tally: Tally
) -> list[Result]:
    """Explain images; the results are in the order of the sources. What is there twice is explained once."""
    results: dict[ImageRef, Result] = {}
    images = load_sources(sources, explainer.card, settings, storage, tally)

    def put(uri: str, content: bytes) -> None:
        with tally.timing("write"):
            storage.put(uri, content, durable=False)
        tally.count("bytes_written", len(content))

    with contextlib.closing(images), WritesBehind(put, _WRITERS, 4 * _WRITERS) as write:
        for ref, result in _explain(images, explainer, settings, write, tally):
            results[ref] = result
    return [results[source.ref] for source in sources]


def _explain(
    images: Generator[LoadedImage | FailedImage],
    explainer: BatchExplainer,
    settings: ExplainSettings,
    write: Callable[[str, bytes], None],
    tally: Tally,
) -> Generator[tuple[ImageRef, Result]]:
    for batch in explain_batches(images, explainer, tally):
        rows = finish_batch(batch, explainer.card, settings, write, tally)
        if isinstance(batch, FailedImage):
            yield batch.ref, (rows, [None] * rows.num_rows, None)
            continue
        # First the rows of all maps, in the order of images and classes; then one of each image with unknown classes.
        start, beyond = 0, sum(len(image.targets.codes) for image in batch.images)
        for number, image in enumerate(batch.images):
            count = len(image.targets.codes)
            own = rows.slice(start, count)
            cams: list[np.ndarray | None] = list(batch.explanation.cams[number, :count])
            if image.targets.failure is not None:
                own, beyond = pa.concat_tables([own, rows.slice(beyond, 1)]), beyond + 1
                cams.append(None)
            start += count
            yield image.ref, (own, cams, image.placement)
