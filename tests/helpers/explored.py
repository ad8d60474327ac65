"""Two runs of the same photos, open to look at."""

import dataclasses
from contextlib import contextmanager
from pathlib import Path

from example_runs import examples
from synthetic import blob, write_run

from pipeline.explore.session import open_session
from pipeline.runs.record import run_at
from transforms.storage.storage import Storage

STORAGE = Storage()


def write_two_runs(output: Path, per_class: int = 8) -> None:
    """Runs r1 and r2 of the same photos; in r2 the maps of the first class have moved to a corner, one photo is new."""
    first = examples(corner=False, per_class=per_class)
    moved = [
        dataclasses.replace(example, cam=blob(0.9, 0.9)) if number % 3 == 0 else example
        for number, example in enumerate(first)
    ]
    new = dataclasses.replace(first[1], name="new")
    write_run(output, "r1", first, extra_columns=("site",))
    write_run(output, "r2", [*moved, new], extra_columns=("site",))


@contextmanager
def session_of(output: Path, run: str = "r1", before: str | None = None):
    runs = [None if name is None else run_at(f"{output}/runs/{name}", STORAGE) for name in (run, before)]
    with open_session(runs[0], runs[1], STORAGE) as session:
        yield session
