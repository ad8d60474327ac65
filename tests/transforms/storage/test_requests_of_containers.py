"""What a store is asked for images that lie in larger files: a request for some megabytes, not for an image."""

import dataclasses

import numpy as np
import pytest
from containers import Packed, write_parquet, write_records, write_tar, write_zip
from s3_server import s3_server

from transforms.manifest.manifest import Manifest
from transforms.manifest.read import read_manifest
from transforms.manifest.survey import survey_manifest
from transforms.storage.sequential import SequentialReader
from transforms.storage.storage import Storage

WRITERS = {"tar": write_tar, "zip": write_zip, "tfrecord": write_records, "parquet": write_parquet}
SHARD = 625  # what ten thousand images are cut into


@pytest.fixture(scope="module")
def server():
    with s3_server("images") as app:
        yield app


@pytest.fixture(scope="module")
def images() -> list[Packed]:
    rng = np.random.default_rng(0)
    return [Packed(f"{i:05d}", b"\x89PNG\r\n\x1a\n" + rng.bytes(20_000), label=str(i % 3)) for i in range(1000)]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_thousand_images_take_at_most_a_dozen_requests_with_all_that_is_asked_before(server, images, tmp_path, kind):
    storage = Storage({"s3": {"key": "x", "secret": "x", "client_kwargs": server.client_options()}})
    uri = f"s3://images/{kind}/0.{kind}"
    storage.put(uri, WRITERS[kind](tmp_path / f"0.{kind}", images).read_bytes())
    server.requests.clear()
    manifest = Manifest(uri.rpartition("/")[0], indexes=f"{tmp_path}/indexes")
    found = survey_manifest(manifest, storage)
    refs = list(read_manifest(dataclasses.replace(manifest, pieces=found.pieces), storage))
    contents = []
    for start in range(0, len(refs), SHARD):
        reader = SequentialReader(refs[start : start + SHARD], storage)
        for ref in refs[start : start + SHARD]:
            contents.append(reader.fetch(ref, 1 << 20))
            reader.let_go(ref)
        reader.close()
    assert contents == [image.content for image in images]
    assert len(server.requests) <= 12, server.requests
