"""The nearest neighbours of every image: exactly, block by block, or for many images by usearch's graph (HNSW)."""

import dataclasses
import importlib.util
from typing import Any

import numpy as np

from transforms.machine import available_cpus

EXACT_UP_TO = 20_000  # images: half a minute on two cores
_BLOCK = 1024  # images compared with all others at a time
_GRAPH_DIMS = 128  # of the principal components, which the graph goes by; what it finds is measured on all of them
_CONNECTIVITY, _EXPAND_ADD, _EXPAND_SEARCH = 16, 100, 64
_ADDED = 65_536  # images at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Nearest:
    """The k nearest other images of each, the nearest first."""

    places: np.ndarray  # int32 [N, k]; -1 where there are fewer
    distances: np.ndarray  # float32 [N, k], 1 - cosine, 0..2; infinite where there are fewer
    is_exact: bool


def has_graph() -> bool:
    """Whether usearch is installed."""
    return importlib.util.find_spec("usearch") is not None


def find_nearest(vectors: np.ndarray, count: int, exact: bool | None = None) -> Nearest:
    """The ``count`` nearest of each of the ``vectors``, float16 or float32 ``[N, D]``, which have the length one.

    Args:
        exact: None: up to 20,000 vectors, and where usearch is not installed. With a million vectors the exact search
            takes some hours, the graph minutes (recall of the ten nearest 0.976 on 100,000 vectors of 128 values).
    """
    if exact is None:
        exact = len(vectors) <= EXACT_UP_TO or not has_graph()
    count = min(count, max(len(vectors) - 1, 0))
    if count == 0:
        return Nearest(np.zeros((len(vectors), 0), np.int32), np.zeros((len(vectors), 0), np.float32), True)
    return _exactly(vectors, count) if exact else _by_graph(vectors, count)


def _exactly(vectors: np.ndarray, count: int) -> Nearest:
    total = len(vectors)
    places, distances = np.empty((total, count), np.int32), np.empty((total, count), np.float32)
    for start in range(0, total, _BLOCK):
        block = vectors[start : start + _BLOCK].astype(np.float32)
        best, near = np.full((len(block), count), -np.inf, np.float32), np.full((len(block), count), -1, np.int64)
        for first in range(0, total, 16 * _BLOCK):
            others = vectors[first : first + 16 * _BLOCK].astype(np.float32)
            similar = block @ others.T
            own = np.arange(start, start + len(block)) - first
            inside = (own >= 0) & (own < len(others))
            similar[np.flatnonzero(inside), own[inside]] = -np.inf
            kept = min(count, len(others))
            chosen = np.argpartition(-similar, kept - 1, axis=1)[:, :kept]
            best = np.hstack([best, np.take_along_axis(similar, chosen, axis=1)])
            near = np.hstack([near, chosen + first])
            order = np.lexsort((near, -best))[:, :count]  # of equals the first: the outcome is the same every time
            best, near = np.take_along_axis(best, order, axis=1), np.take_along_axis(near, order, axis=1)
        places[start : start + len(block)], distances[start : start + len(block)] = near, 1 - best
    return _sorted(places, distances, True)


def _by_graph(vectors: np.ndarray, count: int) -> Nearest:
    from usearch.index import Index

    threads = available_cpus()
    short = vectors[:, :_GRAPH_DIMS]
    index: Any = Index(
        ndim=short.shape[1],
        metric="cos",
        dtype="f16",
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPAND_ADD,
        expansion_search=max(_EXPAND_SEARCH, 2 * count),
    )
    for start in range(0, len(short), _ADDED):
        block = np.ascontiguousarray(short[start : start + _ADDED])
        index.add(np.arange(start, start + len(block)), block, threads=threads)
    places = np.full((len(short), count), -1, np.int32)
    distances = np.full((len(short), count), np.inf, np.float32)
    for start in range(0, len(short), _ADDED):
        block = np.ascontiguousarray(short[start : start + _ADDED])
        keys = _keys(index, block, count + 1, threads)
        own = np.arange(start, start + len(block))[:, None]
        # The image itself goes to the end, and is cut off there; it may be missing among many copies.
        order = np.argsort((keys == own) | (keys < 0), axis=1, kind="stable")[:, :count]
        found = np.take_along_axis(keys, order, axis=1)
        places[start : start + len(block)] = np.where(found == own, -1, found)
    for start in range(0, len(vectors), _BLOCK):
        rows = places[start : start + _BLOCK]
        others = vectors[np.maximum(rows, 0)].astype(np.float32)
        own_vectors = vectors[start : start + len(rows)].astype(np.float32)
        apart = 1 - np.einsum("nd,nkd->nk", own_vectors, others)
        distances[start : start + len(rows)] = np.where(rows >= 0, apart, np.inf)
    return _sorted(places, distances, False)


def _keys(index: Any, block: np.ndarray, count: int, threads: int) -> np.ndarray:
    """The numbers of the nearest of each row, int64 ``[n, count]``; -1 where the graph leads to no more."""
    # Of a single row usearch would give something else.
    rows = block if len(block) > 1 else np.repeat(block, 2, axis=0)
    matches = index.search(rows, count, threads=threads)
    keys = np.asarray(matches.keys).astype(np.int64)
    return np.where(np.arange(count) < np.asarray(matches.counts)[:, None], keys, -1)[: len(block)]


def _sorted(places: np.ndarray, distances: np.ndarray, is_exact: bool) -> Nearest:
    order = np.lexsort((places, distances))
    distances = np.maximum(np.take_along_axis(distances, order, axis=1), 0)  # of copies, rounding goes below
    return Nearest(np.take_along_axis(places, order, axis=1), distances, is_exact)
