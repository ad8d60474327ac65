"""A DuckDB of our own that reaches nothing but the files that it is told of, from its first moment on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def sealed_database(folder: Path, files: Iterable[Path] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database ``audit.duckdb`` in a folder; SQL in it can read ``files`` and nothing else, and change no setting.

    The files of a table are those that others may write to, so nothing of them is looked at before the seal. Who has
    loaded them opens the database anew, without them.
    """
    database = duckdb.connect(
        f"{folder}/audit.duckdb", config={"temp_directory": str(folder), "allow_community_extensions": False}
    )
    try:
        paths = ", ".join("'" + str(path.resolve()).replace("'", "''") + "'" for path in files)
        database.execute(f"SET allowed_paths = [{paths}]")
        database.execute("SET enable_progress_bar = false")
        database.execute("SET python_enable_replacements = false")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        yield database
    finally:
        database.close()
