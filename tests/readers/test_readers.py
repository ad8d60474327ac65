"""The lines that transforms/table/README.md shows for each reader, run with it over two runs of unlike manifests."""

import json
import os
import subprocess
from pathlib import Path

import pages
import pyarrow.parquet as pq
import pytest
from example_runs import examples
from synthetic import write_run

FOLDER = Path(os.environ.get("BEAM_GRADCAM_READERS", Path.home() / ".cache" / "beam-gradcam" / "readers"))
BLOCKS = pages.read(pages.ROOT / "transforms" / "table" / "README.md").blocks
# What each reader's table is, as a list of dicts.
READERS = {
    "DuckDB": ("import duckdb", "[dict(zip(rows.columns, row)) for row in rows.fetchall()]"),
    "pandas": ("import glob\nimport pandas", "json.loads(rows.to_json(orient='records', double_precision=15))"),
    "Polars": ("import glob\nimport polars", "rows.collect().to_dicts()"),
    "pyarrow": ("import pyarrow", "rows.to_pylist()"),
    "Spark": ("from pyspark", "[row.asDict() for row in rows.collect()]"),
}
CASES = [
    *((reader, environment) for environment in ("frames", "frames-old") for reader in READERS if reader != "Spark"),
    ("Spark", "spark3"), ("Spark", "spark4"),
]  # fmt: skip
COLUMNS = (
    "uri",
    "status",
    "run_id",
    "target_name",
    "target_index",
    "border_lift",
    "is_correct",
    "cam",
    "site",
    "camera",
)

pytestmark = [
    pytest.mark.readers,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is not there: run tests/readers/setup.sh"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An output with two runs; the first has the further column site, the second has camera."""
    folder = tmp_path_factory.mktemp("readers")
    made = examples(corner=False, per_class=2)
    write_run(folder / "gradcam-output", "r1", made, extra_columns=("site",))
    write_run(folder / "gradcam-output", "r2", made[:4], extra_columns=("camera",))
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    rows = []
    for part in sorted(folder.glob("gradcam-output/statistics/*/*.parquet")):
        rows += pq.ParquetFile(part).read().to_pylist()
    assert len(rows) == 10
    return comparable([{"site": None, "camera": None} | row for row in rows])


def comparable(rows: list[dict]) -> list[dict]:
    return sorted(({name: row[name] for name in COLUMNS} for row in rows), key=lambda row: (row["run_id"], row["uri"]))


@pytest.mark.parametrize(("reader", "environment"), CASES)
def test_the_lines_of_the_readme_read_every_row_and_every_column(folder, expected, reader, environment, tmp_path):
    start, to_rows = READERS[reader]
    (block,) = [block for block in BLOCKS if block.startswith(start)]
    script = f"{block}\nimport json\nprint()\nprint(json.dumps({to_rows}, default=str))\n"
    python = FOLDER / environment / "bin" / "python"
    ended = subprocess.run(
        [python, "-c", script], capture_output=True, text=True, cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SPARK_LOCAL_IP": "127.0.0.1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = comparable(json.loads(ended.stdout.splitlines()[-1]))
    for row, wanted in zip(found, expected, strict=True):
        cam, lift = row.pop("cam"), row.pop("border_lift")
        assert cam == pytest.approx(wanted["cam"], rel=1e-6)
        assert lift == pytest.approx(wanted["border_lift"], rel=1e-6)
        assert row == {name: value for name, value in wanted.items() if name not in ("cam", "border_lift")}
