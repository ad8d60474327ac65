"""The embeddings of a run as unit vectors in memory: read twice, block by block, and kept in few values each."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from sklearn.decomposition import PCA

from pipeline.audit.errors import AuditError
from transforms.storage import Storage
from transforms.table import PartFooter, read_embeddings, read_footer

DIMS = 512  # principal components that are kept: a million images take 1 GB
SAMPLE = 20_000  # images that the components are found on


@dataclasses.dataclass(frozen=True, eq=False)
class Vectors:
    """The images that have an embedding, in the order of the places that were asked for."""

    places: np.ndarray  # int64 [N], of the images among those that were asked for
    units: np.ndarray  # float16 [N, d], principal components, of the length one, those of most variance first
    plane: np.ndarray  # float32 [N, 2], the first two components at their own length
    kept: float  # share of the sample's variance that the components have, 0..1


def read_vectors(parts: Sequence[str], ids: np.ndarray, run_ids: np.ndarray, storage: Storage) -> Vectors:
    """The embeddings of images, centred, as at most 512 principal components (all of them, where there are fewer).

    The components are those of up to 20,000 images whose ids, which are hashes, are the smallest.

    Args:
        parts: URIs of parts of the statistics.
        ids: bytes ``[M]``, ids of the images in ascending order.
        run_ids: ``[M]``, the run that each has its rows from: embeddings of other runs are passed over.

    Raises:
        AuditError: embeddings of different lengths.
    """
    with_embeddings = [(uri, footer) for uri in parts if (footer := read_footer(uri, storage)).embeddings]
    blocks = [
        block[places < SAMPLE] for places, block in _blocks(with_embeddings, ids, run_ids, storage) if places.size
    ]
    sample = np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)
    if len(sample) < 2:
        empty = np.zeros((0, 1), np.float16)
        return Vectors(np.zeros(0, np.int64), empty, np.zeros((0, 2), np.float32), 0.0)
    pca = PCA(min(DIMS, sample.shape[1], len(sample) - 1), random_state=0).fit(sample)
    components = pca.components_.astype(np.float32)
    mean = pca.mean_.astype(np.float32)
    kept = float(pca.explained_variance_.sum() * (len(sample) - 1) / max(((sample - mean) ** 2).sum(), 1e-30))
    del sample, blocks
    units = np.zeros((len(ids), len(components)), np.float16)
    plane = np.zeros((len(ids), 2), np.float32)
    known = np.zeros(len(ids), bool)
    for places, block in _blocks(with_embeddings, ids, run_ids, storage):
        projected = (block - mean) @ components.T
        plane[places, : min(2, projected.shape[1])] = projected[:, :2]
        lengths = np.linalg.norm(projected, axis=1, keepdims=True)
        units[places] = projected / np.maximum(lengths, 1e-12)
        known[places] = True
    where = np.flatnonzero(known)
    return Vectors(where, units if known.all() else units[where], plane[where], min(kept, 1.0))


def _blocks(
    parts: Sequence[tuple[str, PartFooter]], ids: np.ndarray, run_ids: np.ndarray, storage: Storage
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places int64 ``[n]`` and embeddings float32 ``[n, D]``, some thousand at a time."""
    size: int | None = None
    for uri, footer in parts:
        for batch in read_embeddings(uri, storage, ["image_id", "embedding"]):
            there = batch.filter(batch.column("embedding").is_valid())
            if not there.num_rows:
                continue
            values = _matrix(there.column("embedding"), uri)
            size = size or values.shape[1]
            if values.shape[1] != size:
                raise AuditError(
                    f"{uri}: embeddings of {values.shape[1]} values beside others of {size}: they are of different "
                    "models; give the run whose images are all of one model"
                )
            wanted = np.array(there.column("image_id").to_pylist(), ids.dtype)
            places = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
            own = (ids[places] == wanted) & (run_ids[places] == footer.run_id) if len(ids) else np.zeros(0, bool)
            yield places[own], values[own]


def _matrix(lists: pa.ListArray, uri: str) -> np.ndarray:
    values = lists.flatten().to_numpy(zero_copy_only=False)
    if len(values) % len(lists) or (np.diff(lists.offsets.to_numpy()) != len(values) // len(lists)).any():
        raise AuditError(f"{uri}: embeddings of different lengths: remove the file, and run the same command again")
    return values.reshape(len(lists), -1).astype(np.float32, copy=False)
