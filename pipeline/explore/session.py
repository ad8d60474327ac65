"""What the page looks at: the rows of a run in a sealed database, perhaps those of another run beside it."""

import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from pipeline.audit.inputs import AuditTable, open_table
from pipeline.explore.columns import Column, list_columns
from pipeline.explore.errors import ExploreError
from pipeline.explore.moved import add_moves
from pipeline.explore.near import add_neighbours
from pipeline.explore.tags import Tags
from pipeline.runs import Run
from transforms.model import ModelCard, read_card
from transforms.storage import Storage

PATIENCE = 20.0
"""Seconds that a query may take: a condition that somebody typed may join the table with itself."""


@dataclasses.dataclass(frozen=True, eq=False)
class Session:
    """A run, open to look at. Its methods may be called from many threads at a time."""

    table: AuditTable
    run: Run
    card: ModelCard
    storage: Storage
    columns: Mapping[str, Column]
    tags: Tags
    before: Run | None = None  # its rows are the table "before"
    card_before: ModelCard | None = None
    moved: Mapping[str, str] = dataclasses.field(default_factory=dict)  # measure of a pair -> its column
    columns_before: frozenset[str] = frozenset()
    slices: Sequence[str | Sequence[str]] = ()  # audit.slices of the reader's config
    near: Mapping[str, str] = dataclasses.field(default_factory=dict)  # what neighbours say -> its column
    patience: float = PATIENCE
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @property
    def runs(self) -> dict[str, tuple[Run, ModelCard]]:
        """Table -> the run whose rows it has, and its model."""
        found = {"statistics": (self.run, self.card)}
        if self.before is not None and self.card_before is not None:
            found["before"] = (self.before, self.card_before)
        return found

    @property
    def extra_columns(self) -> list[str]:
        """The manifest's further columns; not those that hold what moved, or what neighbours say."""
        ours = {*self.moved.values(), *self.near.values()}
        return [name for name in self.table.extra_columns if name in self.columns and name not in ours]

    @contextmanager
    def reading(self, patience: float | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that can change nothing, and is interrupted when patience ends.

        Raises:
            ExploreError: a query is wrong or takes too long; the message says which.
        """
        with self._lock:  # connections are made from one that other threads use too
            cursor = self.table.database.cursor()
        clock = threading.Timer(patience or self.patience, cursor.interrupt)
        clock.daemon = True  # an answer that nobody fetches to its end keeps no process alive
        clock.start()
        try:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            yield cursor
        except duckdb.InterruptException:
            raise ExploreError(
                f"the query took more than {self.patience:g} seconds and was stopped: make the condition simpler"
            ) from None
        except duckdb.Error as error:
            raise ExploreError(f"the rows cannot be asked so: {error}") from None
        finally:
            clock.cancel()
            cursor.close()

    def records(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a query, each by column name."""
        with self.reading() as cursor:
            cursor.execute(sql, dict(parameters or {}))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def open_session(
    run: Run,
    before: Run | None,
    storage: Storage,
    regions: Mapping[str, Sequence[float]] | None = None,
    slices: Sequence[str | Sequence[str]] = (),
) -> Iterator[Session]:
    """Load a run, and another to hold it against; the model is not needed.

    Raises:
        AuditError: a run has no rows, or rows that cannot be read.
    """
    runs = {"statistics": run} | ({"before": before} if before is not None else {})
    cards = {name: read_card(each.model, storage) for name, each in runs.items()}
    with open_table(runs, storage, regions, neighbours=True) as table:
        moved: dict[str, str] = {}
        columns_before: frozenset[str] = frozenset()
        if before is not None:
            table, moved = add_moves(table, [cards["before"].seen, cards["statistics"].seen])
            described = table.database.execute("SELECT column_name FROM (DESCRIBE before)").fetchall()
            columns_before = frozenset(name for (name,) in described)
        table, near = add_neighbours(table)
        yield Session(
            table,
            run,
            cards["statistics"],
            storage,
            list_columns(table, moved.values(), near),
            Tags(run.files.tags, storage, table.database),
            before,
            cards.get("before"),
            moved,
            columns_before,
            slices,
            near,
        )
