"""The blocks that shards are planned from: small files together, in their place, beside what is done."""

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from transforms.blocks import ReadBlocks, deal_pieces
from transforms.manifest.manifest import Manifest, Piece
from transforms.manifest.survey import survey_manifest
from transforms.records import RefBlock
from transforms.shards import block_size
from transforms.storage.storage import Storage
from transforms.table.done import DoneImages, write_earlier_parts
from transforms.table.location import TableLocation

STORAGE = Storage()


def pieces_of(*counts: int) -> tuple[Piece, ...]:
    return tuple(Piece(f"{number}.parquet", sum(counts[:number]), count) for number, count in enumerate(counts))


@pytest.mark.parametrize(
    ("counts", "size", "dealt"),
    [
        ((), 10, [0]),  # the whole manifest, which has no pieces
        ((7,), 10, [1]),
        ((3, 3, 3, 3, 3), 6, [2, 2, 1]),
        ((20, 1, 1, 20), 10, [1, 3]),
        ((1,) * 1000, 100, [100] * 10),
    ],
)
def test_small_pieces_are_dealt_together_and_large_ones_alone(counts, size, dealt):
    pieces = pieces_of(*counts)
    found = list(deal_pieces(pieces, size))
    assert [len(some) for some in found] == dealt
    assert tuple(piece for some in found for piece in some) == pieces


@pytest.mark.parametrize(
    ("lines", "least", "most"), [(1_000, 2**15, 2**15), (10**7, 150_000, 2**18), (10**9, 2**18, 2**18)]
)
def test_a_block_has_some_lines_of_each_shard_while_memory_allows(lines, least, most):
    assert least <= block_size(-(-lines // 1024)) <= most


def write_files(folder, files: int, lines: int) -> None:
    for number in range(files):
        uris = [f"/photos/{number * lines + line:04d}.jpg" for line in range(lines)]
        pq.write_table(pa.table({"uri": uris}), folder / f"{number:03d}.parquet")


def test_many_small_files_come_in_few_blocks_that_know_their_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("transforms.blocks.block_size", lambda buckets: 30)
    write_files(tmp_path, files=12, lines=7)
    manifest = Manifest(str(tmp_path))
    manifest = Manifest(str(tmp_path), pieces=survey_manifest(manifest, STORAGE).pieces)
    assert len(manifest.pieces) == 12
    table = TableLocation(f"{tmp_path}/out", "r", "none")
    write_earlier_parts(table, [], STORAGE)

    def check(blocks: list[RefBlock | DoneImages]) -> None:
        assert sorted((block.start, len(block.refs)) for block in blocks) == [
            (0, 30), (30, 5), (35, 30), (65, 5), (70, 14)]  # fmt: skip
        for block in blocks:
            assert [ref.uri for ref in block.refs] == [
                f"/photos/{block.start + line:04d}.jpg" for line in range(len(block.refs))
            ]

    with TestPipeline() as root:
        assert_that(root | ReadBlocks(manifest, table, STORAGE, 1), check)


def test_the_worker_that_finds_a_mistake_tells_it_before_it_stops(tmp_path):
    told = tmp_path / "told.txt"
    (tmp_path / "manifest.txt").write_text("a.jpg\n\nb.jpg\n")
    table = TableLocation(f"{tmp_path}/out", "r", "none")
    pipeline = beam.Pipeline()
    _ = pipeline | ReadBlocks(
        Manifest(f"{tmp_path}/manifest.txt"), table, STORAGE, 1, lambda error: told.write_text(str(error)) and None
    )
    with pytest.raises(Exception, match="line 2: the line has no URI"):
        pipeline.run()
    assert "line 2: the line has no URI" in told.read_text()
