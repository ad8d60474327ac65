"""Images of one file, read in few requests: the right bytes, in few ranges, and no more of them held than needed."""

import dataclasses
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from containers import Packed, write_parquet, write_records, write_tar

from transforms.manifest.manifest import Manifest
from transforms.manifest.read import read_manifest
from transforms.records import ImageFailure, ImageRef, Status, image_id_of
from transforms.storage import block_file, sequential
from transforms.storage.storage import Storage

STORAGE = Storage()
IMAGES = [Packed(f"{i:03d}", b"\x89PNG\r\n\x1a\n" + bytes([i]) * 1000, label=str(i)) for i in range(60)]


def refs_of(path) -> list[ImageRef]:
    return list(read_manifest(Manifest(str(path)), STORAGE))


@pytest.fixture
def ranges(monkeypatch):
    """The ranges that are read."""
    asked: list[tuple[int, int]] = []
    fetch_range = Storage.fetch_range

    def counted(self, uri, start, end):
        asked.append((start, end))
        return fetch_range(self, uri, start, end)

    monkeypatch.setattr(Storage, "fetch_range", counted)
    return asked


@pytest.mark.parametrize(
    "write", [write_tar, write_records, lambda path, images: write_parquet(path, images, rows=4)],
    ids=["tar", "tfrecord", "parquet"],
)  # fmt: skip
def test_many_threads_get_their_images_in_few_requests(tmp_path, ranges, monkeypatch, write):
    monkeypatch.setattr(sequential, "_BLOCK", 20_000)
    path = write(tmp_path / "x.parquet", IMAGES) if write not in (write_tar, write_records) else write(
        tmp_path / ("x.tar" if write is write_tar else "x.tfrecord"), IMAGES)  # fmt: skip
    refs = refs_of(path)
    reader = sequential.SequentialReader(refs, STORAGE)

    def fetch(ref: ImageRef) -> bytes | None:
        content = reader.fetch(ref, 1 << 20)
        reader.let_go(ref)
        return content

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(fetch, refs)) == [image.content for image in IMAGES]
    assert len(ranges) == len(set(ranges)) <= 1 + path.stat().st_size // 12_000
    assert all(end - start <= 20_000 for start, end in ranges)
    assert all(not block.content.done() for block in reader._blocks)  # let go
    reader.close()


def test_a_file_that_has_changed_is_left_to_who_can_say_so(tmp_path):
    path = write_tar(tmp_path / "x.tar", IMAGES[:4])
    refs = refs_of(path)
    write_tar(path, [dataclasses.replace(image, content=image.content + b"longer") for image in IMAGES[:4]])
    reader = sequential.SequentialReader(refs, STORAGE)
    assert [reader.fetch(ref, 1 << 20) for ref in refs] == [None] * 4
    path.unlink()
    assert sequential.SequentialReader(refs, STORAGE).fetch(refs[0], 1 << 20) is None


def test_what_lies_far_from_each_other_is_not_read_in_between(tmp_path, ranges, monkeypatch):
    monkeypatch.setattr(sequential, "_GAP", 3000)
    refs = refs_of(write_records(tmp_path / "x.tfrecord", IMAGES))
    some = [refs[0], refs[1], refs[3], refs[20], refs[21]]  # from 1 to 3 there is less than the gap
    reader = sequential.SequentialReader(some, STORAGE)
    assert [reader.fetch(ref, 1 << 20) for ref in some] == [IMAGES[i].content for i in (0, 1, 3, 20, 21)]
    assert len(ranges) == 2


def test_an_image_that_is_too_large_is_a_failure_and_loose_files_are_none_of_ours(tmp_path):
    refs = refs_of(write_records(tmp_path / "x.tfrecord", IMAGES[:2]))
    loose = ImageRef("a.jpg", image_id_of("a.jpg"))
    reader = sequential.SequentialReader([loose, *refs], STORAGE)
    assert reader.fetch(loose, 10) is None
    with pytest.raises(ImageFailure) as failed:
        reader.fetch(refs[0], 100)
    assert failed.value.status == Status.TOO_LARGE


def test_a_member_with_a_long_name_has_its_own_header(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("long/" * 40 + "é.png")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"image"))
    (ref,) = refs_of(tmp_path / "x.tar")
    assert sequential.SequentialReader([ref], STORAGE).fetch(ref, 100) == b"image"


@pytest.mark.parametrize("is_struct", [True, False])
def test_a_large_row_group_is_read_once_in_blocks_and_only_what_is_asked_for_is_held(
    tmp_path, ranges, monkeypatch, is_struct
):
    for module in (sequential, block_file):
        monkeypatch.setattr(module, "_BLOCK", 100_000)
    images = [Packed(f"{i}", np.random.default_rng(i).bytes(10_000 + i)) for i in range(300)]
    path = write_parquet(tmp_path / "x.parquet", [*images[:3], *images, images[0]], rows=303, is_struct=is_struct)
    all_refs = refs_of(path)
    refs = all_refs[:303:2]  # the others are done, say
    reader = sequential.SequentialReader(refs, STORAGE)
    held = []

    def fetch(place: int) -> bytes | None:
        if place % 10 == 7:  # it has failed before
            content = None
        else:
            content = reader.fetch(refs[place], 1 << 20)
            held.append(len(reader._blocks[0].stream._held))
        reader.let_go(refs[place])
        return content

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(fetch, range(len(refs))))
    wanted = [*images[:3], *images][:303:2]
    assert found == [None if place % 10 == 7 else image.content for place, image in enumerate(wanted)]
    start, length = all_refs[0].span
    assert length > 3_000_000
    assert len(ranges) == -(-length // 100_000)
    assert sorted(ranges) == [
        (begin, min(begin + 100_000, start + length)) for begin in range(start, start + length, 100_000)]  # fmt: skip
    assert max(held) <= 16
    assert reader._blocks[0].stream is None  # let go
    reader.close()


def test_a_stream_that_breaks_off_costs_few_requests_and_a_row_each(tmp_path, ranges, monkeypatch):
    for module in (sequential, block_file):
        monkeypatch.setattr(module, "_BLOCK", 100_000)
    images = [Packed(f"{i}", np.random.default_rng(i).bytes(1000)) for i in range(3000)]
    refs = refs_of(write_parquet(tmp_path / "x.parquet", images, rows=3000))
    reader = sequential.SequentialReader(refs, STORAGE)
    assert reader.fetch(refs[0], 1 << 20) == images[0].content
    with pytest.raises(ImageFailure) as failed:
        reader.fetch(refs[1], 100)
    assert failed.value.status == Status.TOO_LARGE
    whole_file = Storage.fetch_range
    monkeypatch.setattr(
        Storage,
        "fetch_range",
        lambda self, uri, start, end: whole_file(self, uri, start, end if start < 2_000_000 else start),
    )
    outcomes = []
    for ref in refs[2:]:
        try:
            outcomes.append(reader.fetch(ref, 1 << 20))
        except ImageFailure as failure:
            outcomes.append((failure.status, failure.message.partition(":")[0]))
    whole = sum(isinstance(outcome, bytes) for outcome in outcomes)
    assert outcomes[:whole] == [image.content for image in images[2 : 2 + whole]]
    assert whole in (1022, 2046)  # pages of 1,024
    assert set(outcomes[whole:]) == {(Status.FETCH_ERROR, "damaged in its file, or the file has changed")}
    assert len(ranges) <= 3 * 31  # three attempts


def test_a_row_without_an_image_in_a_large_row_group_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sequential, "_BLOCK", 1000)
    images = [Packed("0", b"0" * 2000), Packed("1", None), Packed("2", b"2" * 2000)]
    refs = refs_of(write_parquet(tmp_path / "x.parquet", images, is_struct=False))
    reader = sequential.SequentialReader(refs, STORAGE)
    with pytest.raises(ImageFailure, match="there is no image in this row of image") as failed:
        reader.fetch(refs[1], 1 << 20)
    with pytest.raises(ImageFailure) as alone:
        STORAGE.fetch(refs[1].uri, 1 << 20)
    assert (failed.value.status, failed.value.message, failed.value.error_type) == (
        alone.value.status, alone.value.message, alone.value.error_type)  # fmt: skip
    assert [reader.fetch(ref, 1 << 20) for ref in refs[::2]] == [b"0" * 2000, b"2" * 2000]
