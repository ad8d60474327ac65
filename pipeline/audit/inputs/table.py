"""The rows of a run in DuckDB: on disk, so that a million need no memory; sealed, so that SQL reaches nothing else."""

import dataclasses
import glob
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq

from pipeline.audit.errors import AuditError
from pipeline.runs import Run, list_runs
from transforms.concurrency import map_ahead
from transforms.statistics import box_coverage
from transforms.storage import Storage, uris
from transforms.table import list_parts, read_footer, statistics_schema

_READERS = 16

Parameters = Sequence[Any] | Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class AuditTable:
    """The table of one run, or one of two side by side, in a database of their own.

    With the rows of the run come those that earlier runs with the same fingerprint left for images that this run did
    not explain again.
    """

    database: duckdb.DuckDBPyConnection
    columns: tuple[str, ...]
    name: str = "statistics"
    has_controls: bool = False  # there is a table <name>_controls

    def records(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """The rows of a query, each by column name; for results that are small."""
        cursor = self.database.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def arrays(self, sql: str, parameters: Parameters = ()) -> dict[str, np.ndarray]:
        """The columns of a query; NULL is NaN in numbers and None in the rest."""
        columns = self.database.execute(sql, parameters).fetchnumpy()
        return {name: _filled(column) for name, column in columns.items()}

    @property
    def regions(self) -> tuple[str, ...]:
        """The declared regions, by the columns that they gave the table."""
        return tuple(
            name.removeprefix("region_").removesuffix("_lift")
            for name in self.columns
            if name.startswith("region_") and name.endswith("_lift")
        )

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """The manifest's further columns."""
        own = set(statistics_schema(self.regions).names)
        return tuple(name for name in self.columns if name not in own)


@contextmanager
def open_table(
    runs: dict[str, Run], storage: Storage, regions: Mapping[str, Sequence[float]] | None = None
) -> Iterator[AuditTable]:
    """Load runs as one table each, by the names given; nothing outside them can be reached by any query.

    The regions that a run declares and ``regions``, boxes in 0..1 of the model input, have their columns, made from the
    stored maps where the run did not make them.

    Raises:
        AuditError: a run has no rows.
    """
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as folder:
        database = duckdb.connect(
            f"{folder}/audit.duckdb", config={"temp_directory": folder, "allow_community_extensions": False}
        )
        try:
            for name, run in runs.items():
                _load(database, name, run, Path(folder), storage)
                _add_regions(database, name, run, regions or {})
            first, run = next(iter(runs.items()))
            has_controls = storage.exists(run.files.controls)
            if has_controls:
                path = Path(folder, "controls.parquet")
                path.write_bytes(storage.read(run.files.controls))
                database.execute(f"CREATE TABLE {first}_controls AS FROM read_parquet($path)", {"path": str(path)})
                _add_regions(database, f"{first}_controls", run, regions or {})
            database.execute("SET enable_progress_bar = false")
            database.execute("SET python_enable_replacements = false")
            database.execute("SET enable_external_access = false")
            database.execute("SET lock_configuration = true")
            described = database.execute(f"SELECT column_name FROM (DESCRIBE {first})").fetchall()
            yield AuditTable(database, tuple(name for (name,) in described), first, has_controls)
        finally:
            database.close()


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _load(database: duckdb.DuckDBPyConnection, name: str, run: Run, folder: Path, storage: Storage) -> None:
    runs = [*_earlier_runs(run, storage), run]
    parts = [part for each in runs for part in list_parts(each.files.statistics, storage)]
    paths = _local_copies(parts, run, folder / name, storage)
    no_rows = folder / name / "columns.parquet"  # rows of an earlier version may lack some of today's columns
    pq.write_table(statistics_schema().empty_table(), no_rows)
    if not paths:
        raise AuditError(f"run {run.run_id} of {run.output} has no rows under {run.files.statistics}")
    # DuckDB reads its paths as patterns. Each image has its rows of one run: of the one that began last.
    database.execute(
        f"CREATE TABLE {name} AS SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)"
        + (
            " QUALIFY dense_rank() OVER (PARTITION BY image_id ORDER BY list_position($order, run_id) DESC) = 1"
            if len(runs) > 1
            else ""
        ),
        {"files": [glob.escape(path) for path in (str(no_rows), *paths)]}
        | ({"order": [each.run_id for each in runs]} if len(runs) > 1 else {}),
    )


def _add_regions(
    database: duckdb.DuckDBPyConnection, name: str, run: Run, regions: Mapping[str, Sequence[float]]
) -> None:
    """Mass and lift of regions from the stored maps: rows of earlier runs, and regions declared since, lack them."""
    own = run.config.get("audit", {}).get("regions", {})
    grid = database.execute(f"SELECT cam_height, cam_width FROM {name} WHERE cam IS NOT NULL LIMIT 1").fetchall()
    for region, box in (own | dict(regions) if grid else {}).items():
        covered = box_coverage(np.array(box), *grid[0]).ravel()
        mass, lift = f"region_{region}_mass", f"region_{region}_lift"
        database.execute(f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {mass} FLOAT")
        database.execute(f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {lift} FLOAT")
        is_own = list(own.get(region, ())) == list(box)
        database.execute(
            f"UPDATE {name} SET {mass} = inside, {lift} = inside / $area FROM (SELECT rowid AS place, "
            "list_inner_product(CAST(cam AS DOUBLE[]), $covered) / list_sum(CAST(cam AS DOUBLE[])) AS inside "
            f"FROM {name} WHERE status IN ('OK', 'FLAT'){f' AND {mass} IS NULL' if is_own else ''}) "
            f"WHERE {name}.rowid = place",
            {"area": float(covered.mean()), "covered": covered.tolist()},
        )


def _earlier_runs(run: Run, storage: Storage) -> list[Run]:
    """Runs that may hold the images which this run found explained, the oldest first."""
    if run.summary is None or not run.summary.done_before:
        return []
    others = (other for other in list_runs(run.output, storage) if other.run_id != run.run_id)
    return [other for other in others if other.record.started <= run.record.started]


def _local_copies(parts: list[str], run: Run, folder: Path, storage: Storage) -> list[str]:
    """Paths on this machine, their own or of copies, of the parts that were made as those of the run."""

    def copy(numbered: tuple[int, str]) -> str | None:
        number, uri = numbered
        footer = read_footer(uri, storage)
        if (footer.fingerprint, footer.targets) != (run.record.fingerprint, run.record.targets):
            return None
        if uris.is_local(uri):
            return uris.local_path(uri)
        path = folder / f"{number:06d}.parquet"
        path.write_bytes(storage.read(uri))
        return str(path)

    folder.mkdir()
    with ThreadPoolExecutor(_READERS, "parts") as readers:
        return [path for path in map_ahead(copy, enumerate(parts), readers, 2 * _READERS) if path is not None]


def _filled(column: Any) -> np.ndarray:
    if not np.ma.isMaskedArray(column):
        return column
    if column.dtype.kind in "fiub":
        return np.ma.filled(column.astype(np.float64), np.nan)
    return np.ma.filled(column.astype(object), None)
