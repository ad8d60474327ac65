"""The embeddings of a shard, noted while its batches go by."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.explain.batches import ExplainedBatch
from transforms.explain.loading import FailedImage
from transforms.records import FAILURES
from transforms.table import Embeddings, embedding_table

Passing = TypeVar("Passing", bound=ExplainedBatch | FailedImage)


class EmbeddingNotes:
    """What batches say of their images beside the maps; ``wanted`` is what to note.

    Two bytes a value, and four a probability, for each image of a shard.
    """

    def __init__(self, wanted: Embeddings):
        self._wanted = wanted
        self._image_ids: list[str] = []
        self._features: list[np.ndarray] = []
        self._probabilities: list[np.ndarray] = []

    def passing(self, batches: Iterable[Passing]) -> Iterator[Passing]:
        """The same batches; each is noted as it goes by."""
        for batch in batches:
            if self._wanted and isinstance(batch, ExplainedBatch):
                self._note(batch)
            yield batch

    def table(self, rows: pa.Table) -> pa.Table | None:
        """The embeddings of the images that have no failure among their rows, in their order; None: none are wanted.

        Args:
            rows: all rows of the shard's statistics.
        """
        if not self._wanted:
            return None
        failed = set(rows.filter(pc.is_in(rows["status"], pa.array(FAILURES)))["image_id"].to_pylist())
        places = {image_id: place for place, image_id in reversed(list(enumerate(rows["image_id"].to_pylist())))}
        kept = [number for number, image_id in enumerate(self._image_ids) if image_id in places.keys() - failed]
        first = rows.take(pa.array([places[self._image_ids[number]] for number in kept], pa.int64()))
        features = np.concatenate(self._features) if self._features else np.zeros((0, 1), np.float16)
        probabilities = np.concatenate(self._probabilities)[kept] if self._probabilities else None
        return embedding_table(
            [self._image_ids[number] for number in kept],
            first["uri"].to_pylist(),
            first["predicted_index"].combine_chunks(),
            features[kept],
            probabilities,
        )

    def _note(self, batch: ExplainedBatch) -> None:
        features = batch.explanation.embedding
        assert features is not None  # the launcher has seen to it
        self._image_ids += [image.ref.image_id for image in batch.images]
        with np.errstate(over="ignore"):
            self._features.append(features.astype(np.float16))
        if self._wanted == "with_probabilities":
            self._probabilities.append(np.array(batch.explanation.probabilities, np.float32))
