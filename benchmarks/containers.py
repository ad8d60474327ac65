"""Images as loose files and in files that hold many: images per second of the job, and requests of a store.

    python -m benchmarks.containers                                  # local
    python -m benchmarks.containers --minio ~/.cache/beam-gradcam/stores/bin/minio

10,000 JPEGs of about 20 kB, loose, in 10 tars, 10 TFRecord files and 10 Parquet files; without a model and without
overlays, so that what is measured is reading and decoding. The kinds take turns, in one run.
"""

import argparse
import io
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from transforms.storage import Storage

KINDS = ("loose", "tar", "tfrecord", "parquet")
_METRICS_AGE = 20  # seconds for which MinIO may show older numbers
ROWS = 100  # of a row group, as Hugging Face's datasets writes images
KEYS = {"key": "somebody", "secret": "a long secret"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--minio", help="the program; without it, only the local disk")
    parser.add_argument("--only-minio", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "in", chosen.images)
        if not chosen.only_minio:
            measure("local", folder, str(folder / "in"), {}, None, chosen)
        if chosen.minio:
            port = free_port()
            server = start_minio(chosen.minio, folder, port)
            try:
                options = {"s3": KEYS | {"client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"}}}
                upload(folder / "in", options)
                metrics = f"http://127.0.0.1:{port}/minio/v2/metrics/cluster"
                measure("MinIO", folder, "s3://images", options, metrics, chosen)
            finally:
                server.terminate()
                server.wait(30)


def measure(
    place: str, folder: Path, root: str, options: Mapping[str, Any], metrics: str | None, chosen: argparse.Namespace
) -> None:
    speeds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    requests: dict[str, float] = {}
    for number in range(chosen.rounds):
        for kind in KINDS if number % 2 == 0 else reversed(KINDS):
            before = count_requests(metrics)
            summary = run(folder, f"{root}/{kind}", options)
            assert (summary["images"], summary["failures"]) == (chosen.images, 0), summary
            speeds[kind].append(summary["images"] / (summary["prepare_seconds"] + summary["run_seconds"]))
            requests[kind] = (count_requests(metrics) - before) / chosen.images * 100
    own = statistics.median(speeds["loose"])
    for kind in KINDS:
        speed = statistics.median(speeds[kind])
        counted = f", {requests[kind]:.2f} requests per 100 images" if metrics else ""
        print(f"{place}, {kind}: {speed:.0f} images/s, {speed / own:.2f} of loose{counted}", flush=True)  # noqa: T201


def run(folder: Path, manifest: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A whole job in a process of its own; survey, planning and start included in its seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        config = {
            "input": {"manifest": manifest, "labels": "column"},
            "model": {"source": "none", "input_size": 224},
            "overlays": {"policy": "none"},
            "output": {"path": output},
            "storage": dict(options),
        }
        (folder / "job.yaml").write_text(yaml.safe_dump(config))
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", "run", str(folder / "job.yaml")], capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        return json.loads(Path(json.loads(ended.stdout.splitlines()[-1])["summary"]).read_text())


def write_images(folder: Path, count: int) -> None:
    """The same images, loose and in ten files of each kind."""
    import tensorflow as tf

    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
    each = -(-count // 10)
    for number in range(10):
        some = list(images(number * each, min(count, (number + 1) * each)))
        for name, content in some:
            (folder / "loose" / f"{name}.jpg").write_bytes(content)
        with tarfile.open(folder / "tar" / f"{number}.tar", "w") as tar:
            for name, content in some:
                for suffix, file in ((".jpg", content), (".cls", b"3")):
                    info = tarfile.TarInfo(name + suffix)
                    info.size = len(file)
                    tar.addfile(info, io.BytesIO(file))
        with tf.io.TFRecordWriter(str(folder / "tfrecord" / f"{number}.tfrecord")) as writer:
            for _, content in some:
                encoded = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
                label = tf.train.Feature(int64_list=tf.train.Int64List(value=[3]))
                features = tf.train.Features(feature={"image/encoded": encoded, "image/class/label": label})
                writer.write(tf.train.Example(features=features).SerializeToString())
        table = pa.table(
            {"image": [{"bytes": content, "path": name} for name, content in some], "label": [3] * len(some)}
        )
        pq.write_table(table, folder / "parquet" / f"{number}.parquet", row_group_size=ROWS)


def images(start: int, end: int) -> Iterator[tuple[str, bytes]]:
    """Soft noise of 320 x 240 pixels; about 20 kB each."""
    for number in range(start, end):
        noise = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
        photo = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
        yield f"{number:06d}", cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes()


def upload(folder: Path, options: Mapping[str, Any]) -> None:
    import s3fs

    s3fs.S3FileSystem(**options["s3"]).mkdir("images")
    storage = Storage(options)
    for path in sorted(folder.rglob("*.*")):
        storage.put(f"s3://images/{path.relative_to(folder)}", path.read_bytes())


def start_minio(program: str, folder: Path, port: int) -> subprocess.Popen:
    environment = {
        "MINIO_ROOT_USER": KEYS["key"],
        "MINIO_ROOT_PASSWORD": KEYS["secret"],
        "MINIO_PROMETHEUS_AUTH_TYPE": "public",
    }
    server = subprocess.Popen(
        [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "minio")],
        env=os.environ | environment,
    )
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/minio/health/live", timeout=5)
            return server
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("MinIO has not started")


def count_requests(metrics: str | None) -> float:
    """All that the server has answered so far."""
    if metrics is None:
        return 0.0
    time.sleep(_METRICS_AGE)
    text = urllib.request.urlopen(metrics, timeout=30).read().decode()
    return sum(float(found[1]) for found in re.finditer(r"^minio_s3_requests_total\{.*\} (\S+)$", text, re.MULTILINE))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    main()
