"""A manifest of many files: which they are, the limit, line numbers, and blocks in their place."""

import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.read import read_blocks, read_manifest
from transforms.manifest.survey import survey_manifest
from transforms.storage.storage import Storage

STORAGE = Storage()


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path) -> str:
    """Twelve lines in three files, beside what Spark leaves."""
    root = str(tmp_path) if request.param == "local" else f"memory://many-{tmp_path.name}"
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({"uri": [f"{i}.jpg" for i in range(3, 8)], "label": list(range(3, 8))}), sink, row_group_size=2
    )
    STORAGE.put(f"{root}/part-0.csv", b"uri,label\n0.jpg,0\n\n1.jpg,1\n2.jpg,2\n")
    STORAGE.put(f"{root}/part-1.parquet", sink.getvalue().to_pybytes())
    lines = [{"uri": f"/elsewhere/{i}.jpg", "label": i} for i in range(8, 12)]
    STORAGE.put(f"{root}/sub/part-2.jsonl", "\n".join(map(json.dumps, lines)).encode())
    for name in ("_SUCCESS", "_metadata.parquet"):
        STORAGE.put(f"{root}/{name}", b"")
    return root


def survey(manifest: Manifest) -> Manifest:
    found = survey_manifest(manifest, STORAGE)
    read = dataclasses.replace(manifest, pieces=found.pieces, extra_columns=found.extra_columns)
    assert found.count == sum(piece.count for piece in found.pieces) == len(list(read_manifest(read, STORAGE)))
    return read


def test_all_lines_in_order_relative_to_the_file_that_they_stand_in(folder):
    manifest = survey(Manifest(folder))
    refs = list(read_manifest(manifest, STORAGE))
    assert [ref.label for ref in refs] == [str(i) for i in range(12)]
    assert [ref.uri for ref in refs[2:4]] == [f"{folder}/2.jpg", f"{folder}/3.jpg"]
    assert refs[8].uri.endswith("/elsewhere/8.jpg")


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 8, 9, 12, 100])
def test_the_limit_counts_over_all_files(folder, limit):
    refs = list(read_manifest(survey(Manifest(folder, limit=limit)), STORAGE))
    assert [ref.label for ref in refs] == [str(i) for i in range(min(limit, 12))]


def test_every_piece_knows_its_place_whoever_reads_it(folder, monkeypatch):
    monkeypatch.setattr("transforms.manifest.survey._ROWS_OF_A_PIECE", 2)
    manifest = survey(Manifest(folder))
    assert [(piece.start, piece.count, piece.row_groups) for piece in manifest.pieces] == [
        (0, 3, None), (3, 2, (0,)), (5, 2, (1,)), (7, 1, (2,)), (8, 4, None)]  # fmt: skip
    for piece in reversed(manifest.pieces):
        (block,) = read_blocks(dataclasses.replace(manifest, pieces=(piece,)), STORAGE, 100)
        assert block.start == piece.start
        assert [int(ref.label) for ref in block.refs] == list(range(piece.start, piece.start + piece.count))


def test_a_mistake_is_named_with_its_file_and_line(tmp_path, monkeypatch):
    monkeypatch.setattr("transforms.manifest.survey._ROWS_OF_A_PIECE", 2)
    monkeypatch.setattr("transforms.manifest.survey._SAMPLED_LINES", 1)  # else the survey finds it
    table = pa.table({"uri": ["a", "b", "c", None, "e"]})
    pq.write_table(table, tmp_path / "1.parquet", row_group_size=1)
    manifest = dataclasses.replace(
        Manifest(str(tmp_path)), pieces=survey_manifest(Manifest(str(tmp_path)), STORAGE).pieces
    )
    with pytest.raises(ManifestError, match=r"1\.parquet, line 4: the line has no URI"):
        list(read_blocks(dataclasses.replace(manifest, pieces=manifest.pieces[1:2]), STORAGE, 100))
    monkeypatch.setattr("transforms.manifest.survey._SAMPLED_LINES", 2)
    with pytest.raises(ManifestError, match=r"1\.parquet, line 4: the line has no URI"):
        survey_manifest(Manifest(str(tmp_path)), STORAGE)
    (tmp_path / "2.csv").write_text("uri,label\na,1\nb\n")
    with pytest.raises(ManifestError, match=r"2\.csv, line 3: 1 cells where the header has 2"):
        survey_manifest(Manifest(str(tmp_path)), STORAGE)
    pq.write_table(pa.table({"file": ["a"]}), tmp_path / "0.parquet")
    with pytest.raises(ManifestError, match=r"0\.parquet: there is no column uri; the manifest has file"):
        survey_manifest(Manifest(str(tmp_path)), STORAGE)


def test_a_folder_with_an_image_is_a_folder_of_images(folder):
    STORAGE.put(f"{folder}/photos/a.jpg", b"x")
    found = survey_manifest(Manifest(folder), STORAGE)
    assert (found.count, found.pieces) == (1, ())
    refs = list(read_manifest(survey(Manifest(f"{folder}/*.parquet", format="parquet")), STORAGE))
    assert [ref.label for ref in refs] == [str(i) for i in range(3, 8)]


def test_a_pattern_that_no_file_matches(tmp_path):
    with pytest.raises(ManifestError, match="no file matches"):
        survey_manifest(Manifest(f"{tmp_path}/*.parquet"), STORAGE)


def test_columns_in_the_names_of_folders(tmp_path):
    for label, day in (("cat", "2024%2F1"), ("dog", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / "x=1" / "parts" / f"label={label}" / f"day={day}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"uri": [f"/{label}.jpg"]}), folder / "0.parquet")
        (folder / "1.csv").write_text(f"uri,day\n/{label}-1.jpg,own\n")
    for uri in (f"{tmp_path}/x=1/parts", f"{tmp_path}/x=1/parts/*/*/*.parquet"):
        manifest = survey(Manifest(uri, required_columns=frozenset({"uri", "label"})))
        assert manifest.extra_columns == ("day",)
        refs = list(read_manifest(manifest, STORAGE))
        known = [(ref.uri, ref.label, ref.extra) for ref in refs]
        parquet = [("/cat.jpg", "cat", ("2024/1",)), ("/dog.jpg", "dog", (None,))]
        csv = [("/cat-1.jpg", "cat", ("own",)), ("/dog-1.jpg", "dog", ("own",))]
        assert sorted(known) == sorted(parquet if "*" in uri else parquet + csv)


def test_relative_masks_are_beside_the_file_that_names_them_as_its_images_are(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "parts" / name).mkdir(parents=True)
        masks = ["m/0.png", "s3://b/1.png", " ", '{"size": [1, 1], "counts": [1]}', '[{"counts": "0"}]']
        table = pa.table({"uri": [f"{i}.jpg" for i in range(5)], "mask": masks, "site": ["m/0.png"] * 5})
        pq.write_table(table, tmp_path / "parts" / name / "0.parquet")
    manifest = survey(Manifest(f"{tmp_path}/parts", mask_column="mask"))
    assert manifest.extra_columns == ("mask", "site")
    found = [(ref.uri, *ref.extra) for ref in read_manifest(manifest, STORAGE)]
    for place, name in enumerate(("one", "two")):
        folder = f"{tmp_path}/parts/{name}"
        assert found[5 * place] == (f"{folder}/0.jpg", f"{folder}/m/0.png", "m/0.png")
        assert [mask for _, mask, _ in found[5 * place + 1 : 5 * place + 5]] == masks[1:]
    based = survey(Manifest(f"{tmp_path}/parts", mask_column="mask", base=f"{tmp_path}/base"))
    assert [ref.extra[0] for ref in read_manifest(based, STORAGE)] == masks * 2  # relative to the base, as the images
    single = Manifest(f"{tmp_path}/parts/one/0.parquet", mask_column="mask", extra_columns=("mask",))
    assert [ref.extra[0] for ref in read_manifest(single, STORAGE)] == masks
