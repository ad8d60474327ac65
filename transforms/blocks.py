"""Manifest and earlier parts -> blocks of images: what the plan of the shards is made of."""

import dataclasses
from collections.abc import Iterator
from typing import Literal

import apache_beam as beam

from transforms.manifest import Manifest, OnMistake, Piece, read_blocks
from transforms.records import RefBlock
from transforms.shards import block_size
from transforms.storage import Storage
from transforms.table import DoneImages, TableLocation, read_done_blocks

_Source = tuple[Piece, ...] | Literal["done"]
"""Pieces of the manifest that follow each other, none for the whole of it; or the images that are done already."""


class ReadBlocks(beam.PTransform):
    """The manifest's images, and those that have rows with the same fingerprint -> blocks of either.

    A block is an element because a million elements cost a runner far more than a million references do. Where the
    manifest has pieces, many workers read them.

    Both are one collection, whose blocks many workers may read at the same time. Were they two, a runner that brings
    them together for the shuffle would have all of it pass through its workers once more: Beam's local one does.

    The list of earlier parts is a file that the launcher wrote. Were it made here, a step that the runner repeats would
    find parts of this very run and plan other shards than before.

    ``buckets``: of the shards that will be planned.
    """

    def __init__(
        self, manifest: Manifest, table: TableLocation, storage: Storage, buckets: int, on_mistake: OnMistake = None
    ):
        super().__init__()
        self._manifest = manifest
        self._table = table
        self._storage = storage
        self._size = block_size(buckets)
        self._on_mistake = on_mistake

    def expand(self, root: beam.Pipeline) -> beam.PCollection[RefBlock | DoneImages]:
        sources: tuple[_Source, ...] = ("done", *deal_pieces(self._manifest.pieces, self._size))
        manifest = dataclasses.replace(self._manifest, pieces=())
        return (
            root
            | beam.Impulse()
            | "Sources" >> beam.FlatMap(_each, sources)
            | "Deal" >> beam.Reshuffle()
            | "Blocks" >> beam.FlatMap(_read, manifest, self._table, self._storage, self._size, self._on_mistake)
        )


def _each(_impulse: bytes, sources: tuple[_Source, ...]) -> tuple[_Source, ...]:
    return sources


def _read(
    source: _Source, manifest: Manifest, table: TableLocation, storage: Storage, size: int, on_mistake: OnMistake
) -> Iterator[RefBlock | DoneImages]:
    if source == "done":
        yield from read_done_blocks(table, storage)
    else:
        yield from read_blocks(dataclasses.replace(manifest, pieces=source), storage, size, on_mistake)


def deal_pieces(pieces: tuple[Piece, ...], size: int) -> Iterator[tuple[Piece, ...]]:
    """Pieces as workers get them: so many of small ones that together they fill a block."""
    some: list[Piece] = []
    lines = 0
    for piece in pieces:
        some.append(piece)
        lines += piece.count
        if lines >= size:
            yield tuple(some)
            some, lines = [], 0
    if some or not pieces:
        yield tuple(some)
