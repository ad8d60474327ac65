"""What ``beam-gradcam neighbours`` finds of what was planted in photos, and what a million images cost.

python -m benchmarks.neighbours planted --photos FOLDER     # a folder with manifest.csv: uri, label_index
python -m benchmarks.neighbours large 1000000               # made-up embeddings of 1,280 values
"""

import csv
import functools
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import skimage.data
import typer
from PIL import Image, ImageDraw
from rich.console import Console

from benchmarks.explore import FINGERPRINT, made_up_rows, write_large_run
from pipeline.audit.neighbours import write_neighbours
from pipeline.config import Config
from pipeline.launch import launch
from pipeline.runs import find_run
from transforms.records import Shard, ShardResult
from transforms.storage import Storage
from transforms.table import TableLocation, embedding_table, write_part

_COPIES = 30
_FLIPPED = 0.1  # of the labels
_SPLITS = ("train", "test")
_FEATURES = 1280
_PART = 20_000  # images

app = typer.Typer(add_completion=False)


def plant(photos: Path, folder: Path, seed: int) -> tuple[set[frozenset[str]], set[str]]:
    """Copies of labelled photos: some once more in the other split, some with a label of another class.

    A copy has another JPEG quality (40), is smaller (60 %, quality 85) or is cropped (93 % x 93 %, quality 90).

    Returns:
        The names of each pair of copies, and of the images with a wrong label. ``manifest.csv`` is in the folder.
    """
    rng = np.random.default_rng(seed)
    with open(photos / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label_index"] for row in rows})
    flipped = set(rng.choice(len(rows), int(_FLIPPED * len(rows)), replace=False).tolist())
    copied = rng.choice([i for i in range(len(rows)) if i not in flipped], _COPIES, replace=False).tolist()
    pairs, wrong, lines = set(), set(), []
    for number, row in enumerate(rows):
        name, label, split = f"{number:03d}.jpg", row["label_index"], int(rng.random() < 0.3)
        photo = Image.open(photos / row["uri"]).convert("RGB")
        photo.save(folder / name, quality=95)
        if number in flipped:
            label = str(rng.choice([other for other in classes if other != label]))
            wrong.add(name)
        lines.append((name, label, _SPLITS[split]))
        if number in copied:
            copy = f"{number:03d}-copy.jpg"
            _changed(photo, copied.index(number) % 3, folder / copy)
            lines.append((copy, label, _SPLITS[1 - split]))
            pairs.add(frozenset((name, copy)))
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([("uri", "label", "split"), *lines])
    return pairs, wrong


def add_foreign(folder: Path) -> set[str]:
    """Six pictures unlike the photos, without labels; returns their names."""
    text = Image.new("RGB", (400, 300), "white")
    for top in range(10, 290, 14):
        ImageDraw.Draw(text).text((10, top), "the quick brown fox jumps over the lazy dog " * 2, fill="black")
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    pictures = {
        "noise": Image.fromarray(noise),
        "grey": Image.new("RGB", (400, 300), (128, 128, 128)),
        "text": text,
        "rocket": Image.fromarray(skimage.data.rocket()),
        "retina": Image.fromarray(skimage.data.retina()).resize((400, 400)),
        "coffee": Image.fromarray(skimage.data.coffee()),
    }
    with open(folder / "manifest.csv", "a", newline="") as file:
        csv.writer(file).writerows((f"{name}.jpg", "", _SPLITS[0]) for name in pictures)
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.jpg")
    return {f"{name}.jpg" for name in pictures}


def _changed(photo: Image.Image, how: int, path: Path) -> None:
    width, height = photo.size
    if how == 0:
        photo.save(path, quality=40)
    elif how == 1:
        photo.resize((round(0.6 * width), round(0.6 * height))).save(path, quality=85)
    else:
        box = (round(0.04 * width), round(0.03 * height), round(0.97 * width), round(0.96 * height))
        photo.crop(box).save(path, quality=90)


def score(found: set, planted: set) -> str:
    hit = len(found & planted)
    precision, recall = hit / len(found) if found else float("nan"), hit / len(planted)
    return f"{hit} of {len(planted)}, and {len(found) - hit} others: precision {precision:.2f}, recall {recall:.2f}"


@app.command()
def planted(
    photos: Annotated[Path, typer.Option(help="folder with manifest.csv (uri, label_index)")],
    seeds: Annotated[int, typer.Option(min=1, help="so many times, each with other copies and labels")] = 3,
) -> None:
    """Plant copies and wrong labels, explain with the bundled model, and count what is found."""
    console, storage = Console(), Storage()
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as temporary:
            folder = Path(temporary)
            pairs, wrong = plant(photos, folder, seed)
            foreign = add_foreign(folder)
            config = Config.model_validate(
                {
                    "input": {"manifest": f"{folder}/manifest.csv", "columns": {"label": "label"}},
                    "explain": {"embedding": True},
                    "overlays": {"policy": "none"},
                    "output": {"path": f"{folder}/out"},
                }
            )
            if launch(config, (), Console(quiet=True)):
                raise SystemExit("the run has not ended well")
            run = find_run(f"{folder}/out", None, storage)
            write_neighbours(run, storage, lambda line: None)
            rows = pq.read_table(run.files.neighbours).to_pylist()
            table = pq.read_table(f"{folder}/out/statistics", columns=["image_id", "uri", "is_correct"]).to_pylist()
            names = {row["image_id"]: Path(row["uri"]).name for row in table}
            groups: dict[int, set[str]] = {}
            for row in rows:
                if row["leaks"]:
                    groups.setdefault(row["duplicate_group"], set()).add(names[row["image_id"]])
            doubted = {names[row["image_id"]] for row in rows if row["suggested_index"] is not None}
            disagreed = {names[row["image_id"]] for row in table if row["is_correct"] is False}
            say = functools.partial(console.print, soft_wrap=True)
            say(f"seed {seed}")
            say(f"  pairs across splits: {score(set(map(frozenset, groups.values())), pairs)}")
            say(f"  wrong labels: {score(doubted, wrong)}")
            say(f"  outliers: {score({names[row['image_id']] for row in rows if row['is_outlier']}, foreign)}")
            say(f"  every label that the model contradicts: {score(disagreed, wrong)}")


@app.command()
def large(images: int, output: Annotated[Path | None, typer.Option(help="a new folder to keep")] = None) -> None:
    """Make up embeddings, one in fifty a copy of another, and time the search."""
    console, storage = Console(), Storage()
    with tempfile.TemporaryDirectory(prefix="beam-gradcam-") as temporary:
        folder = output or Path(temporary) / "out"
        write_large_run(folder, 0)
        table = TableLocation(str(folder), "large", FINGERPRINT, embeddings="features")
        rng = np.random.default_rng(0)
        centres = rng.gamma(0.4, 1.0, (1000, _FEATURES)).astype(np.float32)
        basis = rng.normal(size=(64, _FEATURES)).astype(np.float32) / 8
        for start in range(0, images, _PART):
            count = min(_PART, images - start)
            rows = made_up_rows(start, count, "large")
            values = (
                centres[rng.integers(0, len(centres), count)] + rng.normal(size=(count, 64)).astype(np.float32) @ basis
            )
            values += rng.normal(size=values.shape).astype(np.float32) * 0.2
            copies = count // 50
            values[:copies] = values[copies : 2 * copies] + rng.normal(size=(copies, _FEATURES)) * 0.05
            features = np.maximum(values, 0).astype(np.float16)
            predicted = rows["predicted_index"].combine_chunks()
            beside = embedding_table(rows["image_id"].to_pylist(), rows["uri"].to_pylist(), predicted, features, None)
            write_part(ShardResult(Shard(f"{start:010d}-large", (), 0, 0, 0), rows, {}, {}, beside), table, storage)
        size = sum(path.stat().st_size for path in (folder / "embeddings").rglob("*.parquet"))
        console.print(f"{images:,} images, {size / images:.0f} bytes of embeddings each", soft_wrap=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start_time = time.perf_counter()
        found = write_neighbours(find_run(str(folder), "large", storage), storage, console.print)
        seconds, most = time.perf_counter() - start_time, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        console.print(json.dumps(vars(found)), soft_wrap=True)
        console.print(f"{seconds:.0f} s; at most {most / 1e6:.2f} GB (before: {before / 1e6:.2f} GB)")


if __name__ == "__main__":
    app()
