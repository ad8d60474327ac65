"""The rows of a run in DuckDB: on disk, so that a million need no memory; sealed, so that SQL reaches nothing else."""

import dataclasses
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.errors import AuditError
from pipeline.audit.inputs.database import quoted, sealed_database
from pipeline.audit.inputs.neighbours import copy_neighbours, load_neighbours
from pipeline.runs import Run, list_runs
from transforms.concurrency import map_ahead
from transforms.model import read_card
from transforms.placement import within
from transforms.statistics import box_coverage
from transforms.storage import Storage, read_state, uris
from transforms.table import list_parts, read_footer, statistics_schema

_READERS = 16
_REGION = re.compile("region_([a-z][a-z0-9_]*)_lift")  # as the config names them; a part may have any column
_NUMERIC = r"u?(tiny|small|big|huge)?int(eger)?|u?int\d+|float|double|halffloat|decimal.*"

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
    has_neighbours: bool = False  # the tables <name>_neighbours and <name>_copies, which are always there, have rows

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
        return tuple(match[1] for match in map(_REGION.fullmatch, self.columns) if match)

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """The manifest's further columns."""
        own = set(statistics_schema(self.regions, has_expected=True, has_contrast=True).names)
        return tuple(name for name in self.columns if name not in own)


@contextmanager
def open_table(
    runs: dict[str, Run],
    storage: Storage,
    regions: Mapping[str, Sequence[float]] | None = None,
    neighbours: bool = False,
) -> Iterator[AuditTable]:
    """Load runs as one table each, by the names given; nothing outside them can be reached by any query.

    The regions that a run declares and ``regions``, boxes in 0..1 of the model input, have their columns, made from the
    stored maps where the run did not make them.

    Args:
        neighbours: load those of each run that has them; tests then take duplicates as one.

    Raises:
        AuditError: a run has no rows, or rows that cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as temporary:
        folder = Path(temporary)
        tables = {name: _files_of(run, folder / name, storage) for name, run in runs.items()}
        first, run = next(iter(runs.items()))
        has_controls = storage.exists(run.files.controls)
        if has_controls:
            path = folder / "controls.parquet"
            path.write_bytes(read_state(run.files.controls, storage))
            tables[f"{first}_controls"] = _Files({path: run.files.controls}, (run.run_id,))
        beside = {
            name: copy_neighbours(run if neighbours else None, folder / f"{name}_beside", storage)
            for name, run in runs.items()
        }
        own = [path for files in tables.values() for path in files.uris]
        with sealed_database(folder, [*own, *beside.values()]) as database:
            for name, files in tables.items():
                _load(database, name, files)
            for name, path in beside.items():
                load_neighbours(database, name, path, runs[name].files.neighbours)
        # Anew, and now without the files.
        with sealed_database(folder) as database:
            try:
                for name in tables:
                    _add_regions(database, name, runs.get(name, run), regions or {}, storage)
                described = database.execute(f"SELECT column_name FROM (DESCRIBE {quoted(first)})").fetchall()
                count = database.execute(f"SELECT count(*) FROM {quoted(f'{first}_neighbours')}").fetchall()[0][0]
                yield AuditTable(database, tuple(name for (name,) in described), first, has_controls, bool(count))
            except duckdb.Error as error:
                where = ", ".join(each.files.statistics for each in runs.values())
                raise AuditError(f"{where}: rows that this version cannot read: {error}") from error


@dataclasses.dataclass(frozen=True)
class _Files:
    """The files of a table on this machine."""

    uris: dict[Path, str | None]  # where each comes from; None: from here
    runs: tuple[str, ...]  # ids, the oldest first

    @property
    def one(self) -> str:
        """For a message: the first of them that is not our own."""
        return next(filter(None, self.uris.values()))


def _files_of(run: Run, folder: Path, storage: Storage) -> _Files:
    runs = _runs_of(run, storage)
    folder.mkdir()
    found = _local_copies(parts_of(run, storage), run, folder, storage)
    if not found:
        raise AuditError(f"run {run.run_id} of {run.output} has no rows under {run.files.statistics}")
    no_rows = folder / "columns.parquet"  # rows of an earlier version may lack some of today's columns
    pq.write_table(statistics_schema().empty_table(), no_rows)
    return _Files({no_rows: None, **found}, tuple(each.run_id for each in runs))


def parts_of(run: Run, storage: Storage) -> list[str]:
    """URIs of the parts that may hold rows of a run: its own, and those of the runs that it builds on."""
    return [part for each in _runs_of(run, storage) for part in list_parts(each.files.statistics, storage)]


def _runs_of(run: Run, storage: Storage) -> list[Run]:
    return [*_earlier_runs(run, storage), run]


def _load(database: duckdb.DuckDBPyConnection, name: str, files: _Files) -> None:
    # Each image has its rows of one run: of the one that began last.
    newest = " QUALIFY dense_rank() OVER (PARTITION BY image_id ORDER BY list_position($order, run_id) DESC) = 1"
    several = len(files.runs) > 1
    try:
        database.execute(
            f"CREATE TABLE {quoted(name)} AS SELECT * FROM "
            "read_parquet($files, union_by_name = true, hive_partitioning = false)" + (newest if several else ""),
            {"files": [str(path) for path in files.uris]} | ({"order": list(files.runs)} if several else {}),
        )
    except duckdb.Error as error:
        raise AuditError(_which_is_broken(files, error)) from error
    _check_columns(database, name, files)


def _which_is_broken(files: _Files, error: duckdb.Error) -> str:
    for path, uri in files.uris.items():
        try:
            with pq.ParquetFile(path) as parquet:
                for _ in parquet.iter_batches():
                    pass
        except (pa.ArrowException, OSError) as broken:
            return f"{uri or path} is damaged ({broken}); move it away: the next run explains its images again"
    return f"{files.one} and the files beside it cannot be read as one table: {error}"


def _check_columns(database: duckdb.DuckDBPyConnection, name: str, files: _Files) -> None:
    """Rows come from files that others may have written: a text where a number belongs, or a path in place of an id."""
    described = database.execute(f"SELECT column_name, column_type FROM (DESCRIBE {quoted(name)})").fetchall()
    kinds = dict(described)
    for field in statistics_schema():
        if field.name in kinds and _kind_of(str(field.type)) != _kind_of(kinds[field.name]):
            raise AuditError(
                f"{files.one} or a file beside it has a column {field.name} of type {kinds[field.name]}, which should "
                f"be {field.type}: it is of another version, or not of this job; move it away"
            )
    wrong = database.execute(
        f"SELECT image_id FROM {quoted(name)} "
        "WHERE NOT coalesce(regexp_full_match(image_id, '[0-9a-f]{32}'), false) LIMIT 1"
    ).fetchall()
    if wrong:
        raise AuditError(
            f"{files.one} or a file beside it has the image_id {str(wrong[0][0])[:100]!r}, but an id is 32 hex digits: "
            "it is not of this job; move it away"
        )


def _kind_of(type_name: str) -> str:
    """What a column type of Arrow or DuckDB holds."""
    name = type_name.lower()
    if name.startswith("list") or name.endswith("[]"):
        return "numbers"
    if name in ("string", "large_string", "varchar"):
        return "text"
    return "truth" if name in ("bool", "boolean") else "number" if re.fullmatch(_NUMERIC, name) else name


def _add_regions(
    database: duckdb.DuckDBPyConnection,
    name: str,
    run: Run,
    regions: Mapping[str, Sequence[float]],
    storage: Storage,
) -> None:
    """Mass and lift of regions from the stored maps: rows of earlier runs, and regions declared since, lack them."""
    own = run.config["audit"]["regions"]
    if not own and not regions:
        return
    table = quoted(name)
    seen = read_card(run.model, storage).seen
    grid = database.execute(f"SELECT cam_height, cam_width FROM {table} WHERE cam IS NOT NULL LIMIT 1").fetchall()
    for region, box in (own | dict(regions) if grid else {}).items():
        covered = box_coverage(within(np.array(box), seen), *grid[0]).ravel()
        mass, lift = quoted(f"region_{region}_mass"), quoted(f"region_{region}_lift")
        database.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {mass} FLOAT")
        database.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {lift} FLOAT")
        is_own = list(own.get(region, ())) == list(box)
        database.execute(
            f"UPDATE {table} SET {mass} = inside, {lift} = inside / nullif($area, 0) FROM (SELECT rowid AS place, "
            "list_inner_product(CAST(cam AS DOUBLE[]), $covered) / list_sum(CAST(cam AS DOUBLE[])) AS inside "
            f"FROM {table} WHERE status IN ('OK', 'FLAT'){f' AND {mass} IS NULL' if is_own else ''}) "
            f"WHERE {table}.rowid = place",
            {"area": float(covered.mean()), "covered": covered.tolist()},
        )


def _earlier_runs(run: Run, storage: Storage) -> list[Run]:
    """Runs that may hold the images which this run found explained, the oldest first."""
    if run.summary is None or not run.summary.done_before:
        return []
    others = (other for other in list_runs(run.output, storage) if other.run_id != run.run_id)
    return [other for other in others if other.record.started <= run.record.started]


def _local_copies(parts: list[str], run: Run, folder: Path, storage: Storage) -> dict[Path, str | None]:
    """Paths on this machine of the parts that were made as those of the run: links to them, or copies.

    Under names of our own: DuckDB reads the names of files as patterns.
    """

    def copy(numbered: tuple[int, str]) -> tuple[Path, str] | None:
        number, uri = numbered
        footer = read_footer(uri, storage)
        if (footer.fingerprint, footer.targets) != (run.record.fingerprint, run.record.targets):
            return None
        path = folder / f"{number:06d}.parquet"
        if uris.is_local(uri):
            path.symlink_to(os.path.abspath(uris.local_path(uri)))
        else:
            storage.to_local(uri, path)
        return path, uri

    with ThreadPoolExecutor(_READERS, "parts") as readers:
        copies = map_ahead(copy, enumerate(parts), readers, 2 * _READERS)
        return dict(found for found in copies if found is not None)


def _filled(column: Any) -> np.ndarray:
    if not np.ma.isMaskedArray(column):
        return column
    if column.dtype.kind in "fiub":
        return np.ma.filled(column.astype(np.float64), np.nan)
    # filled(None) would be NumPy's own filling, which is the text "?".
    values = np.ma.getdata(column).astype(object)
    values[np.ma.getmaskarray(column)] = None
    return values
