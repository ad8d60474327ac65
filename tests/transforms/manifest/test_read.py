import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.read import read_manifest
from transforms.manifest.survey import survey_manifest
from transforms.storage.storage import Storage

STORAGE = Storage()


def read(path, **how):
    return list(read_manifest(Manifest(str(path), **how), STORAGE))


def refused(path, **how) -> str:
    with pytest.raises(ManifestError) as caught:
        survey_manifest(Manifest(str(path), **how), STORAGE)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_text_has_a_uri_a_line_relative_to_the_manifests_folder(tmp_path):
    path = tmp_path / "photos.txt"
    path.write_text("a b.jpg\nsub/c#1.png\r\n/elsewhere/d%20.jpg\ns3://bucket/e.jpg\n\n")
    uris = [ref.uri for ref in read(path)]
    assert uris == [f"{tmp_path}/a b.jpg", f"{tmp_path}/sub/c#1.png", "/elsewhere/d%20.jpg", "s3://bucket/e.jpg"]
    assert [ref.uri for ref in read(path, base="s3://other/base", limit=1)] == ["s3://other/base/a b.jpg"]


def test_csv_columns_are_found_by_name_and_the_others_carried_along(tmp_path):
    path = tmp_path / "photos.csv"
    path.write_text(
        "file,class,site,targets,boxes\n"
        'a.jpg,281,north,1;tabby,"[{""x0"": 1, ""y0"": 2, ""x1"": 3.5, ""y1"": 4}]"\n'
        '"b, c.jpg",tabby,,,\n'
    )
    how = {"uri_column": "file", "label_column": "class", "required_columns": frozenset({"file", "class"})}
    survey = survey_manifest(Manifest(str(path), **how), STORAGE)
    assert (survey.count, survey.extra_columns) == (2, ("site",))
    first, second = read(path, **how, extra_columns=survey.extra_columns)
    assert (first.label, first.targets, first.boxes, first.extra) == (
        "281", ("1", "tabby"), ((1.0, 2.0, 3.5, 4.0),), ("north",))  # fmt: skip
    assert second.uri == f"{tmp_path}/b, c.jpg"
    assert (second.label, second.targets, second.boxes, second.extra) == ("tabby", None, None, ("",))


def test_the_formats_agree(tmp_path):
    lines = [
        {"uri": "a.jpg", "label": "3", "targets": ["1", "2"], "boxes": [[0, 1, 2, 3]], "site": "x"},
        {"uri": "b.jpg", "label": None, "targets": None, "boxes": None, "site": None},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    (tmp_path / "m.jsonl.gz").write_bytes(gzip.compress((tmp_path / "m.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "m.parquet")
    header = "uri,label,targets,boxes,site"
    (tmp_path / "m.csv").write_text(f'{header}\na.jpg,3,1;2,"[[0,1,2,3]]",x\nb.jpg,,,,\n')
    (tmp_path / "m.tsv").write_text(
        f"{header}\na.jpg,3,1;2,[0;1;2;3],x\nb.jpg,,,,\n".replace(",", "\t").replace(";", ",")
    )
    tables = {}
    for name in ("m.jsonl", "m.jsonl.gz", "m.parquet", "m.csv"):
        tables[name] = [(ref.uri, ref.label, ref.targets, ref.boxes) for ref in read(tmp_path / name)]
    assert tables["m.jsonl"] == [
        (f"{tmp_path}/a.jpg", "3", ("1", "2"), ((0.0, 1.0, 2.0, 3.0),)),
        (f"{tmp_path}/b.jpg", None, None, None),
    ]
    assert all(table == tables["m.jsonl"] for table in tables.values())
    assert [ref.boxes for ref in read(tmp_path / "m.tsv")] == [((0.0, 1.0, 2.0, 3.0),), None]


def test_a_directory_and_a_glob_list_the_images(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/c.webp", "[1].jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [ref.uri.removeprefix(f"{tmp_path}/") for ref in read(tmp_path)]
    assert sorted(names) == ["[1].jpg", "a.PNG", "b.jpg", "sub/c.webp"]
    assert sorted(ref.uri for ref in read(tmp_path / "*.jpg")) == [f"{tmp_path}/[1].jpg", f"{tmp_path}/b.jpg"]


def test_a_gap_in_a_number_column_does_not_change_the_class(tmp_path):
    pq.write_table(pa.table({"uri": ["a", "b"], "label": pa.array([3.0, None])}), tmp_path / "m.parquet")
    assert [ref.label for ref in read(tmp_path / "m.parquet")] == ["3", None]


def test_mistakes_name_file_line_and_remedy(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("")
    assert "the manifest is empty" in refused(path)
    path.write_text("uri\n")
    assert "names no image" in refused(path)
    path.write_text("file,label\na.jpg,1\n")
    assert "no column uri; the manifest has file, label; name the right one in input.columns" in refused(path)
    path.write_text("uri,site,site\na.jpg,1,2\n")
    assert "the column site stands twice" in refused(path)
    path.write_text("uri,label\na.jpg,1\n,2\n")
    assert "line 3: the line has no URI" in refused(path)
    path.write_text('uri,label\n"a\nb.jpg",1\nc.jpg\n')
    assert "line 4: 1 cells where the header has 2" in refused(path)
    path.write_text('uri,boxes\na.jpg,"[[1,2,3]]"\n')
    assert "line 2: [1, 2, 3] is not a box" in refused(path)
    path.write_text(f'uri,boxes\na.jpg,"{[[0, 0, 1, 1]] * 1001}"\n')
    assert "line 2: 1001 boxes; at most 1000" in refused(path)
    path.write_text(f"uri,targets\na.jpg,{';'.join(map(str, range(1001)))}\n")
    assert "line 2: 1001 target classes" in refused(path)
    path.write_bytes(b"uri\n\xff\xfe.jpg\n")
    assert "is not UTF-8" in refused(path)
    path.write_text('uri,label\na.jpg,1\n"b.jpg,2\nc.jpg,3\n')
    assert "the row that begins in line 3 cannot be read (unexpected end of data)" in refused(path)
    (tmp_path / "m.csv.gz").write_bytes(b"uri\na.jpg\n")
    assert "cannot be read: Not a gzipped file" in refused(tmp_path / "m.csv.gz")
    text = tmp_path / "m.txt"
    text.write_text("a.jpg\n\nb.jpg\n")
    assert "line 2: the line has no URI" in refused(text)
    lines = tmp_path / "m.jsonl"
    lines.write_text('{"uri": "a.jpg"}\n{"uri": \n')
    assert "line 2: not JSON" in refused(lines)
    lines.write_text('{"uri": "a.jpg"}\n{"url": "b.jpg"}\n')
    assert "line 2: there is no column uri" in refused(lines)
    assert "there is no such manifest" in refused(tmp_path / "none.csv")
    assert "cannot tell the manifest's format" in refused(tmp_path / "manifest.dat")
    (tmp_path / "m.parquet").write_text("no")
    assert "not a Parquet file" in refused(tmp_path / "m.parquet")
    assert "names no image" in refused(tmp_path / "*.gif")


def test_the_bundled_photos_are_there():
    uris = [ref.uri for ref in read("bundled:photos")]
    assert [uri.rpartition("/")[2] for uri in uris][2] == "chelsea.png"
    assert all(STORAGE.exists(uri) for uri in uris)
