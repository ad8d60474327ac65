"""The table of embeddings: what is in it, that a committed part has it, and what makes an image done."""

import dataclasses

import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import CARD, FakeModel

from transforms.explain.batches import BatchExplainer
from transforms.explain.failure_limit import FailureLimit
from transforms.explain.settings import ExplainSettings
from transforms.explain.shard import explain_shard
from transforms.explain.tally import Tally
from transforms.records import ImageRef, Shard, image_id_of
from transforms.storage import StateError
from transforms.storage.storage import Storage
from transforms.table.commit import write_part
from transforms.table.done import read_done_images
from transforms.table.embeddings import EMBEDDING_SCHEMA, read_embeddings
from transforms.table.location import TableLocation, embeddings_beside
from transforms.table.parts import list_parts, remove_images
from transforms.table.schema import statistics_schema

STORAGE = Storage()


class Pooling(FakeModel):
    """Its embedding is the mean of each colour of each quarter, and one value that float16 does not hold exactly."""

    card = dataclasses.replace(CARD, embedding=13)

    def explain(self, images, targets):
        quarters = images.reshape(-1, 2, 4, 2, 4, 3).mean(axis=(2, 4)).astype(np.float32).reshape(len(images), -1)
        third = np.where(quarters[:, 2:3] > 200, 1e6, 1 / 3).astype(np.float32)
        return dataclasses.replace(super().explain(images, targets), embedding=np.hstack([quarters, third]))


def write_shard(folder, colours=(20, 40, 60, 80)) -> Shard:
    """Pictures of one colour each, and one that is missing."""
    refs = []
    for colour in colours:
        uri = str(folder / f"{colour}.png")
        cv2.imwrite(uri, np.full((8, 8, 3), (colour, 10, 5), np.uint8))
        refs.append(ImageRef(uri, image_id_of(uri)))
    gone = str(folder / "gone.png")
    return Shard("00000-a", (*refs, ImageRef(gone, image_id_of(gone))), 0, 0, 0)


def commit(shard: Shard, table: TableLocation) -> str:
    settings = ExplainSettings(table, statistics_schema(), batch_size=3)
    result = explain_shard(shard, BatchExplainer(Pooling(), 3), settings, STORAGE, FailureLimit(0), Tally())
    write_part(result, table, STORAGE)
    return table.run.part(shard.shard_id)


def rows_beside(part: str) -> list[dict]:
    return [row for batch in read_embeddings(part, STORAGE, EMBEDDING_SCHEMA.names) for row in batch.to_pylist()]


@pytest.fixture(params=["local", "memory"])
def table(request, tmp_path) -> TableLocation:
    output = str(tmp_path / "out") if request.param == "local" else f"memory:///{tmp_path.name}"
    return TableLocation(output, "r1", "print", embeddings="features")


def test_each_explained_image_has_its_features_rounded_to_sixteen_bits(table, tmp_path):
    shard = write_shard(tmp_path, (20, 40, 60, 250))
    part = commit(shard, table)
    rows = rows_beside(part)
    assert [row["image_id"] for row in rows] == [ref.image_id for ref in shard.refs[:-1]]
    assert [row["uri"] for row in rows] == [ref.uri for ref in shard.refs[:-1]]
    assert [row["predicted_index"] for row in rows] == [2] * 4  # blue
    third = float(np.float16(1 / 3))
    assert rows[1]["embedding"] == [5, 10, 40] * 4 + [third]
    assert rows[3]["embedding"] is None  # 1e6 is beyond float16
    assert {row["probabilities"] for row in rows} == {None}


def test_probabilities_come_where_they_are_asked_for(table, tmp_path):
    part = commit(write_shard(tmp_path), dataclasses.replace(table, embeddings="with_probabilities"))
    for row in rows_beside(part):
        scores = np.array(row["embedding"][:3])
        expected = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        np.testing.assert_allclose(row["probabilities"], expected, rtol=1e-5)


def test_without_the_key_there_is_no_file(table, tmp_path):
    part = commit(write_shard(tmp_path), dataclasses.replace(table, embeddings=""))
    assert not STORAGE.exists(embeddings_beside(part))
    assert rows_beside(part) == []


def test_the_embeddings_are_written_before_the_part(table, tmp_path):
    written: list[str] = []

    class Watched(Storage):
        def put(self, uri, content, durable=True):
            written.append(uri)
            super().put(uri, content, durable)

    settings = ExplainSettings(table, statistics_schema(), batch_size=3)
    shard = write_shard(tmp_path)
    result = explain_shard(shard, BatchExplainer(Pooling(), 3), settings, STORAGE, FailureLimit(0), Tally())
    write_part(result, table, Watched())
    assert written == [
        f"{table.output}/embeddings/run=r1/part-00000-a.parquet",
        f"{table.output}/statistics/run=r1/part-00000-a.parquet",
    ]
    first = rows_beside(written[1])
    write_part(result, table, STORAGE)  # a shard that is executed twice
    assert rows_beside(written[1]) == first


def test_rows_without_the_embeddings_that_are_wanted_make_no_image_done(table, tmp_path):
    shard = write_shard(tmp_path)
    has = {wanted: commit(shard, dataclasses.replace(table, run_id=f"r-{wanted}", embeddings=wanted))
           for wanted in ("", "features", "with_probabilities")}  # fmt: skip
    done = {
        (wanted, had): read_done_images(part, dataclasses.replace(table, embeddings=wanted), STORAGE) is not None
        for wanted in has
        for had, part in has.items()
    }
    enough = {("features", "features"), ("features", "with_probabilities"), ("with_probabilities",) * 2}
    assert {pair for pair, is_done in done.items() if is_done} == enough | {("", had) for had in has}


def test_images_that_are_forgotten_lose_their_embeddings(table, tmp_path):
    shard = write_shard(tmp_path)
    part = commit(shard, table)
    assert remove_images(part, {shard.refs[1].image_id}, STORAGE)
    assert [row["image_id"] for row in rows_beside(part)] == [shard.refs[place].image_id for place in (0, 2, 3)]
    assert not remove_images(part, {ref.image_id for ref in shard.refs}, STORAGE)
    assert not STORAGE.exists(embeddings_beside(part))
    assert list(list_parts(table.layout.statistics, STORAGE)) == []


def test_a_file_of_someone_else_is_refused_by_name(table, tmp_path):
    part = commit(write_shard(tmp_path), table)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    STORAGE.put(embeddings_beside(part), sink.getvalue().to_pybytes())
    with pytest.raises(StateError, match=r"embeddings/run=r1/part-00000-a\.parquet.*its columns are a"):
        rows_beside(part)


def test_sql_reads_it_as_numbers(tmp_path):
    table = TableLocation(str(tmp_path / "out"), "r1", "print", embeddings="features")
    commit(write_shard(tmp_path), table)
    nearest = duckdb.sql(
        f"SELECT b.uri FROM '{table.output}/embeddings/*/*.parquet' a, '{table.output}/embeddings/*/*.parquet' b "
        "WHERE a.uri LIKE '%/20.png' AND a.image_id <> b.image_id "
        "ORDER BY list_distance(a.embedding, b.embedding) LIMIT 1"
    ).fetchall()
    assert nearest[0][0].endswith("/40.png")
