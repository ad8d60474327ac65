"""How long the explorer's answers take over many rows: ``python -m benchmarks.explore 1000000``.

Made-up rows in the real schema: numbers at random, maps of 7 x 7. Each question is asked some times, as the page asks
it, through the server's application; no network and no browser.
"""

import hashlib
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from rich.console import Console

from pipeline.config import Config
from pipeline.config.read import redacted
from pipeline.explore.session import open_session
from pipeline.runs import find_run
from pipeline.runs.record import open_run
from transforms.records import Shard, ShardResult
from transforms.storage import Storage
from transforms.table.location import OutputLayout, TableLocation
from transforms.table.parts import encode_part
from transforms.table.schema import statistics_schema

CLASSES = 100
FINGERPRINT = "f" * 16
_PART = 100_000  # rows
_GRID = 7
_CARD = {
    "fingerprint": FINGERPRINT, "source": "made up", "source_digest": "", "input_height": 224, "input_width": 224,
    "class_count": CLASSES, "class_names": [f"class {index:02d}" for index in range(CLASSES)], "target_layer": "none",
    "target_tensor": "none:0", "cam_height": _GRID, "cam_width": _GRID, "method": "gradcam", "score": "logit",
    "activation": "softmax", "preprocessing": {}, "notes": [], "versions": {},
}  # fmt: skip


def write_large_run(output: Path, rows: int, run_id: str = "large") -> None:
    """An unfinished run of made-up rows, one for each image; the images do not exist."""
    storage, table = Storage(), TableLocation(str(output), run_id, FINGERPRINT)
    layout = OutputLayout(str(output))
    storage.put(f"{layout.model(FINGERPRINT)}/explanation.json", json.dumps(_CARD).encode())
    open_run(table, "made-up.csv", rows, redacted(Config()), storage)
    for start in range(0, rows, _PART):
        part = made_up_rows(start, min(_PART, rows - start), run_id)
        shard = Shard(f"{start:010d}-large", (), 0, 0, 0)
        storage.put(table.run.part(shard.shard_id), encode_part(ShardResult(shard, part, {}, {}), table))


def made_up_rows(start: int, count: int, run_id: str) -> pa.Table:
    """``count`` rows, the same for the same ``start``."""
    rng = np.random.default_rng(start)
    target = rng.integers(0, CLASSES, count).astype(np.int32)
    label = np.where(rng.random(count) < 0.8, target, (target + 1) % CLASSES).astype(np.int32)
    names = pa.array(_CARD["class_names"]).take(pa.array(target))
    uris = [f"/photos/{number % 1000:03d}/{number:09d}.jpg" for number in range(start, start + count)]
    known: dict[str, Any] = {
        "run_id": [run_id] * count, "uri": uris, "status": ["OK"] * count, "fingerprint": [FINGERPRINT] * count,
        "image_id": [hashlib.blake2b(uri.encode(), digest_size=16).hexdigest() for uri in uris],
        "content_sha256": [hashlib.sha256(uri.encode()).hexdigest() for uri in uris],
        "width": np.full(count, 640, np.int32), "height": np.full(count, 480, np.int32),
        "predicted_index": target, "target_index": target, "predicted_name": names, "target_name": names,
        "target_reason": ["predicted"] * count, "target_rank": np.ones(count, np.int32), "label_index": label,
        "is_correct": target == label, "cam_height": np.full(count, _GRID, np.int32),
        "cam_width": np.full(count, _GRID, np.int32), "site": rng.choice(["north", "south", "west"], count),
        "target_probability": rng.random(count, np.float32), "border_lift": rng.gamma(2, 0.5, count).astype(np.float32),
    }  # fmt: skip
    schema = statistics_schema(extra_columns=("site",))
    columns = []
    for field in schema:
        if field.name in known:
            columns.append(pa.array(known[field.name], field.type))
        elif field.name == "cam":
            cells = pa.array(rng.random(count * _GRID**2, np.float32))
            columns.append(pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * _GRID**2), cells))
        elif pa.types.is_float32(field.type):
            columns.append(pa.array(rng.random(count, np.float32)))
        else:
            columns.append(pa.nulls(count, field.type))
    return pa.table(columns, schema=schema)


def main(rows: Annotated[int, typer.Argument()] = 1_000_000, rounds: Annotated[int, typer.Option(min=1)] = 9) -> None:
    """Time the questions of the page over a made-up table."""
    from starlette.testclient import TestClient

    from pipeline.explore.server import build_app

    console, storage = Console(highlight=False), Storage()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        writer = multiprocessing.get_context("spawn").Process(target=write_large_run, args=(Path(folder), rows))
        writer.start()  # in a process of its own: its memory is not the page's
        writer.join()
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
        started = time.perf_counter()
        with open_session(find_run(folder, None, storage), None, storage) as session:
            console.print(f"{rows:,} rows, {size / 1e6:,.0f} MB: open in {time.perf_counter() - started:.1f} s")
            with TestClient(build_app(session, "t", 8459), base_url="http://127.0.0.1:8459") as client:
                client.get("/?token=t")
                for name, question, body in _questions():
                    times = []
                    for number in range(rounds):
                        body["view"]["filters"] = _filters(number, "lasso" in name)
                        began = time.perf_counter()
                        client.post(f"/api/{question}", json=body).raise_for_status()
                        times.append(1000 * (time.perf_counter() - began))
                    console.print(f"{name:34} median {statistics.median(times):5.0f} ms, most {max(times):5.0f} ms")
        console.print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB at most")


def _filters(number: int, lasso: bool) -> list[dict[str, Any]]:
    """Another choice each time: about a quarter of the rows."""
    low = 0.1 + 0.01 * number
    found: list[dict[str, Any]] = [
        {"column": "border_lift", "from": low, "to": low + 1.5},
        {"column": "site", "is": ["north"]},
    ]
    if lasso:
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        outline = (0.5 + 0.4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).tolist()
        found.append({"lasso": ["entropy", "gini"], "points": outline})
    return found


def _questions() -> list[tuple[str, str, dict[str, Any]]]:
    charts = ["target_probability", "border_lift", "effective_area", "site", "is_correct", "brightness"]
    return [
        ("a filter: 48 rows with their maps", "rows", {"view": {}}),
        ("the same, sorted by a measure", "rows", {"view": {"sort": "entropy", "descending": True}}),
        ("a filter and a condition in SQL", "rows", {"view": {"sql": "NOT is_correct AND gini > entropy"}}),
        ("a lasso of 40 points", "rows", {"view": {}}),
        ("six histograms", "charts", {"view": {}, "columns": charts}),
        ("a scatter plot", "points", {"view": {}, "x": "entropy", "y": "gini", "color": "is_correct"}),
        ("classes", "classes", {"view": {}}),
    ]


if __name__ == "__main__":
    typer.run(main)
