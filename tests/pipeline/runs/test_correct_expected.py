"""Predictions of the user's own that are corrected later: the rows become those of a run that knew them."""

import csv

import pyarrow.parquet as pq
import pytest
from colour_models import NAMES, colour_classifier, write_pictures
from rich.console import Console

from pipeline.config.schema import Config
from pipeline.launch.run import launch

OF_THE_RUN = ("run_id", "run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    write_pictures(folder, each=1)
    colour_classifier().save(folder / "model.keras")
    return folder


def rows_of(folder, output: str, cells: list[str] | None) -> list[dict]:
    """Rows of the first pictures, each with one of the cells as the prediction that is expected."""
    with open(folder / "pictures.csv", newline="") as file:
        uris = [line["uri"] for line in csv.DictReader(file)][:5]
    with open(folder / "manifest.csv", "w", newline="") as file:
        lines = [("uri", "own"), *zip(uris, cells, strict=True)] if cells else [("uri",), *((uri,) for uri in uris)]
        csv.writer(file).writerows(lines)
    config = Config.model_validate(
        {
            "input": {"manifest": str(folder / "manifest.csv"), "columns": {"expected": "own"} if cells else {}},
            "model": {"source": str(folder / "model.keras"), "class_names": list(NAMES), "check": 0,
                      "preprocessing": "minus_one_to_one"},
            "overlays": {"policy": "none"},
            "output": {"path": str(folder / output)},
        }
    )  # fmt: skip
    assert launch(config, [], Console(quiet=True)) == 0
    return pq.read_table(folder / output / "statistics").sort_by("uri").to_pylist()


def plain(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name not in OF_THE_RUN} for row in rows]


def test_expectations_that_come_later_or_change_are_those_of_a_run_that_knew_them(folder):
    order = sorted(range(5), key=lambda number: NAMES[number])  # rows are sorted by URI
    first = ["black", "red", "", "0.99", "no such class"]
    second = ["black", "dark", "gray", "0.2", ""]
    none = rows_of(folder, "out", None)
    assert "agrees" not in none[0]
    for cells, agrees in (
        (first, [True, False, None, True, None]),
        (second, [True, True, True, False, None]),
    ):
        corrected = rows_of(folder, "out", cells)
        assert [row["agrees"] for row in corrected] == [agrees[number] for number in order]
        assert [row["run_id"] for row in corrected] == [row["run_id"] for row in none]  # the model was not asked again
    assert plain(corrected) == plain(rows_of(folder, "fresh", second))
    parts = list((folder / "out" / "statistics").rglob("*.parquet"))
    before = [path.stat().st_mtime_ns for path in parts]
    assert rows_of(folder, "out", second) == corrected  # nothing has changed: nothing is written, not even for 0.2
    assert [path.stat().st_mtime_ns for path in parts] == before
