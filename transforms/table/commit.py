"""Shard results -> parts: a part is the commit of its shard, written last and in one step."""

import dataclasses
import json
import operator
from collections.abc import Iterable

import apache_beam as beam

from transforms.records import ShardResult
from transforms.storage import Storage, decode_state, read_state
from transforms.table.embeddings import encode_embeddings
from transforms.table.lease import check_lease
from transforms.table.location import TableLocation, embeddings_beside
from transforms.table.parts import encode_part


@dataclasses.dataclass(frozen=True)
class Totals:
    """Counts over all shards of a run: manifest lines = planned + done + duplicates."""

    planned: int = 0  # images that this run had to explain
    done: int = 0  # images that had their rows before, with the same fingerprint
    done_failed: int = 0  # of these, failures
    duplicates: int = 0  # further lines with the URI of an image that is counted already
    conflicts: int = 0  # images whose lines have different labels
    conflict: str = ""  # one of them, in words: the first in the order of texts

    def __add__(self, other: "Totals") -> "Totals":
        *counts, one = dataclasses.astuple(self)
        *others, another = dataclasses.astuple(other)
        return Totals(*[*map(operator.add, counts, others), min(filter(None, (one, another)), default="")])


class WriteStatistics(beam.PTransform):
    """Shard results -> parts; passes on what each shard counted."""

    def __init__(self, table: TableLocation, storage: Storage):
        super().__init__()
        self._table = table
        self._storage = storage

    def expand(self, results: beam.PCollection[ShardResult]) -> beam.PCollection[Totals]:
        return results | "Parts" >> beam.Map(write_part, self._table, self._storage)


class WriteTotals(beam.PTransform):
    """The counts of all shards -> one small file, the sign that every shard of the run is committed."""

    def __init__(self, table: TableLocation, storage: Storage):
        super().__init__()
        self._table = table
        self._storage = storage

    def expand(self, totals: beam.PCollection[Totals]) -> beam.PCollection[str]:
        return (
            totals
            | "Key" >> beam.WithKeys(self._table.run_id)  # CombineGlobally would be nine steps more
            | "Sum" >> beam.CombinePerKey(add_totals)
            | beam.Values()
            | "File" >> beam.Map(write_totals, self._table, self._storage)
        )


def write_part(result: ShardResult, table: TableLocation, storage: Storage) -> Totals:
    """Commit the rows of a shard, if it has any. Writing the same part again changes nothing.

    Raises:
        LeaseLostError: the launcher has died and another has taken over, or the output has been removed.
    """
    if result.rows.num_rows:
        encoded, part = encode_part(result, table), table.run.part(result.shard.shard_id)
        check_lease(table, storage)  # right before the commit
        try:
            if result.embeddings is not None:  # first: what is committed has them
                storage.put(embeddings_beside(part), encode_embeddings(result.embeddings))
            storage.put(part, encoded)
        except FileNotFoundError:
            check_lease(table, storage)  # says so where the output has gone meanwhile
            raise
    shard = result.shard
    return Totals(len(shard.refs), shard.done, shard.done_failed, shard.duplicates, shard.conflicts, shard.conflict)


def read_totals(table: TableLocation, storage: Storage) -> Totals:
    """What :func:`write_totals` wrote down.

    Raises:
        FileNotFoundError: not every shard is committed.
        StateError: the file holds no counts.
    """
    uri = table.run.totals
    return decode_state(
        Totals, read_state(uri, storage), uri, "the counts of a run", "remove it, and run the same command again"
    )


def add_totals(counts: Iterable[Totals]) -> Totals:
    return sum(counts, Totals())


def write_totals(totals: Totals, table: TableLocation, storage: Storage) -> str:
    storage.put(table.run.totals, json.dumps(dataclasses.asdict(totals)).encode())
    return table.run.totals
