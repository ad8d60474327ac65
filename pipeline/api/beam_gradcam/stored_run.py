"""A run that a job has left in an output, read from anywhere."""

import contextlib
import weakref
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa

from beam_gradcam.explained import Explained, Explanation
from pipeline.audit import open_table
from pipeline.runs import Run, Summary, find_run
from transforms.model import ModelCard, read_card
from transforms.storage import Storage


class StoredRun:
    """The rows of a run, with those that earlier runs left for images which it found explained already.

    A context; what it keeps on disk is gone at the end of the context, or of the process.
    """

    def __init__(self, run: Run, storage: Storage):
        self._run, self._storage = run, storage
        self._resources = contextlib.ExitStack()
        self._close = weakref.finalize(self, self._resources.close)
        self._table = self._resources.enter_context(open_table({"statistics": run}, storage))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._close()

    @property
    def run_id(self) -> str:
        return self._run.run_id

    @property
    def summary(self) -> Summary | None:
        """What came of the run; None where it has not ended."""
        return self._run.summary

    @property
    def config(self) -> dict[str, Any]:
        """The config of the run, without what storage options held of secrets."""
        return self._run.config

    def table(self) -> pa.Table:
        """All rows. For a million images, ask for what you need with :meth:`sql`."""
        return self.sql("SELECT * FROM statistics")

    def sql(self, query: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The result of a query of DuckDB over the table ``statistics``; ``.to_pandas()`` makes a data frame of it.

        The query reaches the rows of the run and nothing else: no file, no network.

        Raises:
            duckdb.Error: what DuckDB has to say of the query.
        """
        return self._table.database.sql(query, params=dict(parameters or {})).to_arrow_table()

    def images(self, where: str = "true", order: str = "image_id, target_index", limit: int = 100) -> Explained:
        """The explanations of the rows that a condition selects, to look at; photos are loaded when they are asked for.

        Args:
            where: an SQL condition over the columns, as ``border_lift > 2 AND NOT is_correct``; the word WHERE may
                stand in front.
            order: SQL to sort by before the limit.
            limit: at most so many.
        """
        condition = where.strip()
        if condition[:6].lower() == "where ":
            condition = condition[6:]
        selected = self._table.database.table("statistics").filter(condition).order(order).limit(limit)
        rows = selected.to_arrow_table()
        card = read_card(self._run.model, self._storage)
        return Explained([self._explanation(row, card) for row in rows.to_pylist()], rows)

    def _explanation(self, row: dict[str, Any], card: ModelCard) -> Explanation:
        cam = placement = None
        if row["cam"] is not None:
            relative = np.array(row["cam"], np.float32).reshape(row["cam_height"], row["cam_width"])
            cam = relative * np.float32(max(row["cam_max"], 0.0))
            placement = card.place(row["width"], row["height"])
        return Explanation(row, cam, placement, row["uri"], self._run.guarded(self._storage))


def open_run(
    output: str, run_id: str | None = None, storage_options: Mapping[str, Mapping[str, Any]] | None = None
) -> StoredRun:
    """Open a run of a job's output.

    Args:
        output: the ``output.path`` of the job, a path or any fsspec URL.
        run_id: which run; None: the newest that ended, else the newest.
        storage_options: fsspec's options by URL scheme, as in the config's section ``storage``.

    Raises:
        UserError: there is no such run, or it has no rows.
    """
    storage = Storage(storage_options or {})
    return StoredRun(find_run(storage.absolute(output), run_id, storage), storage)
