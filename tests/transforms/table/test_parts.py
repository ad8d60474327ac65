import dataclasses
import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from old_parts import as_version_2

from transforms.records import ImageRef, Shard, ShardResult
from transforms.storage.storage import Storage
from transforms.table.commit import Totals, write_part
from transforms.table.done import read_done_images, read_earlier_parts, write_earlier_parts
from transforms.table.location import TableLocation
from transforms.table.parts import list_parts, read_footer, read_part, remove_images
from transforms.table.schema import statistics_schema

STORAGE = Storage()
ROWS = [("a", 0, "OK"), ("a", 1, "ZERO"), ("b", 0, "OK"), ("b", None, "BAD_TARGET"), ("c", None, "FETCH_ERROR")]


@pytest.fixture(params=["local", "memory"])
def table(request, tmp_path) -> TableLocation:
    output = str(tmp_path) if request.param == "local" else f"memory:///{tmp_path.name}"
    return TableLocation(output, "r1", "print")


def commit(table: TableLocation, rows=ROWS, shard_id="00000-abc") -> str:
    columns = {"image_id": [row[0] for row in rows], "target_index": [row[1] for row in rows],
               "status": [row[2] for row in rows], "run_id": [table.run_id] * len(rows)}  # fmt: skip
    schema = statistics_schema()
    filled = pa.table(
        [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(len(rows), f.type) for f in schema],
        schema=schema,
    )
    shard = Shard(shard_id, tuple(ImageRef(name, name) for name in dict.fromkeys(columns["image_id"])), 2, 5, 1)
    result = ShardResult(shard, filled, {"fetch": 1.5}, {"batches": 2})
    assert write_part(result, table, STORAGE) == Totals(len(shard.refs), 5, 1, 2)
    return table.run.part(shard_id)


def contents(table: TableLocation) -> list[tuple]:
    rows = [
        row
        for part in list_parts(table.output, STORAGE)
        for row in read_part(part, STORAGE, ["image_id", "target_index", "status"]).to_pylist()
    ]
    return [(row["image_id"], row["target_index"], row["status"]) for row in rows]


def test_a_part_says_what_is_in_it(table):
    part = commit(table)
    footer = read_footer(part, STORAGE)
    assert (footer.run_id, footer.shard_id, footer.fingerprint, footer.targets) == (
        "r1", "00000-abc", "print", "predicted")  # fmt: skip
    assert (footer.images, footer.rows) == (3, 5)
    assert footer.statuses == {"OK": 1, "BAD_TARGET": 1, "FETCH_ERROR": 1}  # per image: a failure wins
    assert (footer.seconds, footer.events) == ({"fetch": 1.5}, {"batches": 2})
    assert datetime.datetime.fromisoformat(footer.committed).tzinfo is not None
    assert contents(table) == ROWS


def test_a_shard_that_is_executed_twice_has_its_rows_once(table):
    first = commit(table)
    assert commit(table) == first
    assert list(list_parts(table.output, STORAGE)) == [first]
    assert contents(table) == ROWS


def test_a_shard_without_rows_leaves_no_part(table):
    commit(table, [])
    assert list(list_parts(table.output, STORAGE)) == []


def test_done_images_are_those_of_the_same_model_and_targets(table):
    part = commit(table)
    done = read_done_images(part, table, STORAGE)
    assert dict(zip(done.image_ids, done.failed, strict=True)) == {"a": False, "b": True, "c": True}
    assert read_done_images(part, dataclasses.replace(table, fingerprint="other"), STORAGE) is None
    assert read_done_images(part, dataclasses.replace(table, targets="top_k:2"), STORAGE) is None


def test_a_run_builds_on_the_parts_that_were_there_and_no_later_one(table):
    early = commit(table)
    write_earlier_parts(table, [early], STORAGE)
    commit(table, [("d", 0, "OK")], "00001-def")
    assert [done.image_ids for done in read_earlier_parts(table, STORAGE)] == [("a", "b", "c")]
    write_earlier_parts(table, [], STORAGE)
    assert list(read_earlier_parts(table, STORAGE)) == []


def test_images_are_removed_with_all_their_rows_and_the_footer_agrees(table):
    part = commit(table)
    before = read_footer(part, STORAGE)
    assert remove_images(part, {"b", "not there"}, STORAGE)
    assert contents(table) == [row for row in ROWS if row[0] != "b"]
    footer = read_footer(part, STORAGE)
    assert (footer.images, footer.rows, footer.statuses) == (2, 3, {"OK": 1, "FETCH_ERROR": 1})
    assert (footer.seconds, footer.committed) == (before.seconds, before.committed)
    assert not remove_images(part, {"a", "c"}, STORAGE)
    assert list(list_parts(table.output, STORAGE)) == []


def test_other_files_are_no_parts(table):
    commit(table)
    STORAGE.put(f"{table.run.statistics}/_SUCCESS", b"")
    STORAGE.put(f"{table.run.statistics}/.beam-gradcam-0123", b"half")
    assert len(list(list_parts(table.output, STORAGE))) == 1


def test_a_parquet_file_of_someone_else_is_refused_by_name(tmp_path):
    path = tmp_path / "part-x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(ValueError, match=r"part-x\.parquet is not a part that this version can read"):
        read_footer(str(path), STORAGE)
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="move it out of the statistics folder"):
        read_footer(str(path), STORAGE)


def test_parts_of_an_earlier_version_are_read_and_rewritten_as_they_are(table):
    part = commit(table)
    as_version_2(part)
    assert read_footer(part, STORAGE).schema_version == "2"
    done = read_done_images(part, table, STORAGE)
    assert done is not None
    assert done.image_ids == ("a", "b", "c")
    assert remove_images(part, {"a"}, STORAGE)
    assert read_footer(part, STORAGE).schema_version == "2"
    assert pq.ParquetFile(STORAGE.open(part)).schema_arrow.field("cam").type.value_type == pa.float16()
    assert [row[0] for row in contents(table)] == ["b", "b", "c"]
