"""A whole job on an object store: manifest, images, overlays, parts, models and locks, all behind the S3 protocol."""

import json
import os
import signal
import time

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

from launcher import launchers
from s3_server import s3_server
from waiting import wait_until

from transforms.storage.storage import Storage

KEY, SECRET = "AKIASESAME0PEN", "open+sesame/secret"
PHOTOS = 24


@pytest.fixture(scope="module")
def s3():
    with s3_server("bucket") as app:
        app.options = {"s3": {"key": KEY, "secret": SECRET, "client_kwargs": app.client_options()}}
        app.storage = Storage(app.options)
        rng = np.random.default_rng(3)
        names = [f"photos/{i} %#[{i}].png" for i in range(PHOTOS)]
        for name in names:
            photo = cv2.imencode(".png", rng.integers(0, 255, (12, 12, 3), np.uint8))[1].tobytes()
            app.storage.put(f"s3://bucket/{name}", photo)
        lines = [*names, "photos/none.png", names[3]]
        app.storage.put("s3://bucket/manifest.txt", "\n".join(lines).encode())
        yield app


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    with launchers(tmp_path_factory.mktemp("launchers")) as started:
        yield started


@pytest.fixture
def config(s3, tmp_path):
    s3.busy_every, s3.hold = 0, lambda: None
    path = tmp_path / "job.yaml"
    job = {
        "input": {"manifest": "s3://bucket/manifest.txt", "detect_changes": True},
        "output": {"path": f"s3://bucket/{tmp_path.name}"},
        "explain": {"batch_size": 3},
        "overlays": {"max_side": 16},
        "run": {"shard_size": 4, "max_failure_rate": 1, "id": "r1"},
        "storage": s3.options,
    }
    path.write_text(yaml.safe_dump(job))
    return str(path)


def table(s3, config) -> dict[str, dict]:
    output = yaml.safe_load(open(config))["output"]["path"]  # noqa: SIM115
    parts = [uri for uri in s3.storage.walk(f"{output}/statistics") if uri.endswith(".parquet")]
    rows = pa.concat_tables([pq.read_table(pa.BufferReader(s3.storage.read(part))) for part in parts]).to_pylist()
    by_uri = {row["uri"]: row for row in rows}
    assert len(by_uri) == len(rows) == PHOTOS + 1
    return by_uri


def assert_no_secrets(s3, config, *texts: str) -> None:
    output = yaml.safe_load(open(config))["output"]["path"]  # noqa: SIM115
    contents = {uri: s3.storage.read(uri) for uri in s3.storage.walk(output)}
    assert any(uri.endswith("/config.yaml") for uri in contents)
    for uri, content in contents.items():
        texts += (content.decode("latin-1"),)
        if uri.endswith(".parquet"):  # compressed: look at the rows themselves
            texts += (str(pq.read_table(pa.BufferReader(content)).to_pylist()),)
    for text in texts:
        assert KEY not in text
        assert SECRET not in text


@pytest.mark.slow
def test_a_busy_and_slow_store_gives_every_row_in_worker_processes_too(s3, config, launch):
    s3.busy_every, s3.hold = 9, lambda: time.sleep(0.01)
    assert launch.run("run", config, "--set", "run.workers=2", "--log-format", "json") == 0, launch.log
    s3.busy_every = 0
    rows = table(s3, config)
    failed = {uri: row["status"] for uri, row in rows.items() if row["status"] != "OK"}
    assert failed == {"s3://bucket/photos/none.png": "FETCH_ERROR"}
    for uri, row in rows.items():
        if uri not in failed:
            assert s3.storage.read(row["overlay_uri"])[:2] == b"\xff\xd8"
            assert row["content_version"] == s3.storage.version_of_image(uri)
    line = json.loads(launch.log.splitlines()[-1])
    assert (line["inputs"], line["images"], line["duplicates"], line["failures"]) == (PHOTOS + 2, PHOTOS + 1, 1, 1)
    assert_no_secrets(s3, config, launch.log)


def test_killed_resumed_changed_and_retried(s3, config, launch, gate):
    pid = launch.start("run", config, gate=gate)
    output = yaml.safe_load(open(config))["output"]["path"]  # noqa: SIM115
    gate.let(5)  # batches of three: more than a shard has, whose size follows from a hash and is four on average
    wait_until(lambda: any(s3.storage.walk(f"{output}/statistics")))
    assert launch.run("run", config) == 75
    assert "run r1 of the same model is being written" in launch.log
    os.kill(pid, signal.SIGKILL)
    assert launch.wait(pid) == -signal.SIGKILL
    assert launch.run("run", config) == 0, launch.log
    first = table(s3, config)
    assert not s3.storage.exists(f"{output}/leases/fake.json")

    changed, late = "s3://bucket/photos/5 %#[5].png", "s3://bucket/photos/none.png"
    old = s3.storage.read(changed)
    s3.storage.put(changed, s3.storage.read("s3://bucket/photos/6 %#[6].png"))
    s3.storage.put(late, old)
    try:
        assert launch.run("run", config, "--retry-failed", "FETCH_ERROR") == 0, launch.log
        second = table(s3, config)
    finally:
        s3.storage.put(changed, old)
        s3.storage.remove(late)
    assert {uri for uri in first if first[uri] != second[uri]} == {changed, late}
    assert second[late]["status"] == "OK"
    assert second[changed]["content_sha256"] == first["s3://bucket/photos/6 %#[6].png"]["content_sha256"]


def test_wrong_keys_do_not_show_up_in_the_error(s3, config, launch):
    job = yaml.safe_load(open(config))  # noqa: SIM115
    job["output"]["path"] = f"s3://{SECRET}@nowhere/out"
    job["storage"]["s3"]["client_kwargs"] = {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}
    with open(config, "w") as file:
        yaml.safe_dump(job, file)
    assert launch.run("run", config, "--set", "input.timeout=2") in (2, 70)
    assert json.loads(launch.log.splitlines()[-1])["error"]
    assert KEY not in launch.log
    assert SECRET not in launch.log


def test_a_model_compiled_into_a_bucket_explains_from_there(s3, tmp_path):
    keras = pytest.importorskip("keras")
    from transforms.model.compile import compile_model
    from transforms.model.compiled import load_compiled
    from transforms.model.options import ModelOptions

    inputs = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(4, 3, activation="relu", name="features")(inputs)
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(features))
    keras.Model(inputs, outputs).save(tmp_path / "small.keras")
    options = ModelOptions(source=str(tmp_path / "small.keras"))
    card = compile_model(options, "s3://bucket/models", s3.storage)
    assert card.target_layer == "features"
    assert compile_model(options, "s3://bucket/models", s3.storage) == card
    model = load_compiled(f"s3://bucket/models/{card.fingerprint}", s3.storage, 2)
    images = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), np.uint8)
    assert model.explain(images, np.array([[-1], [0]], np.int32)).cams.shape == (2, 1, 14, 14)
