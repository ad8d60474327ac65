"""The formats of manifests beyond the plain ones: what spreadsheets, COCO and Hugging Face write."""

import contextlib
import dataclasses
import gzip
import io
import json
import os
import re
import threading
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.read import read_manifest
from transforms.manifest.survey import survey_manifest
from transforms.storage.storage import Storage

STORAGE = Storage()


def survey(path, **how):
    return survey_manifest(Manifest(str(path), **how), STORAGE)


def read(path, **how):
    found = survey(path, **how)
    manifest = dataclasses.replace(
        Manifest(str(path), **how).with_uri_column(found.uri_column),
        extra_columns=found.extra_columns,
        pieces=found.pieces,
    )
    refs = list(read_manifest(manifest, STORAGE))
    assert len(refs) == found.count
    return refs


def refused(path, **how) -> str:
    with pytest.raises(ManifestError) as caught:
        survey(path, **how)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "uri;label\na,1.jpg;3\nb.jpg;4\n",
        "sep=;\nuri;label\na,1.jpg;3\nb.jpg;4\n",
        'SEP=|\r\nuri|label\r\n"a,1.jpg"|3\r\nb.jpg|4\r\n',
        '"sep=;"\n"uri";"label"\n"a,1.jpg";"3"\nb.jpg;4',
        "uri\tlabel\na,1.jpg\t3\nb.jpg\t4\n",
        "\ufeffuri ; label\na,1.jpg;3\nb.jpg;4\n",
        'uri, label\n"a,1.jpg",3\nb.jpg,4\n',
    ],
    ids=ascii,
)
def test_a_csv_with_another_separator_and_blanks_in_its_header(tmp_path, text):
    (tmp_path / "m.csv").write_text(text, newline="")
    assert [(ref.uri, ref.label) for ref in read(tmp_path / "m.csv")] == [
        (f"{tmp_path}/a,1.jpg", "3"), (f"{tmp_path}/b.jpg", "4")]  # fmt: skip


def test_lines_are_numbered_as_an_editor_does_behind_a_line_of_excels(tmp_path):
    (tmp_path / "m.csv").write_text("sep=;\nuri;label\na.jpg;1\n;2\n")
    assert "line 4: the line has no URI" in refused(tmp_path / "m.csv")


def test_commas_stay_commas(tmp_path):
    (tmp_path / "m.csv").write_text("uri,a;b\nx;y.jpg,1\n")
    (ref,) = read(tmp_path / "m.csv")
    assert (ref.uri, ref.extra) == (f"{tmp_path}/x;y.jpg", ("1",))
    (tmp_path / "n.csv").write_text("file;label\nx.jpg;1\n")
    assert "no column uri; the manifest has file;label" in refused(tmp_path / "n.csv")


@pytest.mark.parametrize(
    ("header", "note"),
    [
        ("uri,Label", "no column label, but 'Label', which is only carried along; if it holds the label, set "
         "input.columns.label: Label"),
        ("uri,labels", "but 'labels'"),
        ("uri,class", "but 'class'"),
        ("uri,label,bbox", "no column boxes, but 'bbox'"),
        ("uri,label,Boxes", "but 'Boxes'"),
        ("uri,label,target", "no column targets, but 'target'"),
    ],
)  # fmt: skip
def test_a_column_that_is_nearly_called_right_is_spoken_of(tmp_path, header, note):
    (tmp_path / "m.csv").write_text(f"{header}\na.jpg{',1' * header.count(',')}\n")
    (said,) = survey(tmp_path / "m.csv").notes
    assert note in said


def test_columns_that_mean_something_else_are_not_spoken_of(tmp_path):
    (tmp_path / "m.csv").write_text("uri,site,camera,label\na.jpg,1,2,3\n")
    assert survey(tmp_path / "m.csv").notes == ()
    (tmp_path / "n.csv").write_text("path,site\na.jpg,1\n")
    assert refused(tmp_path / "n.csv").endswith("name the right one in input.columns, such as {uri: path}")


def test_blanks_around_names_are_stripped_in_every_format(tmp_path):
    (tmp_path / "m.jsonl").write_text('{" uri": "a.jpg", "label ": 3}\n{"uri": "b.jpg", "label": 4}')
    pq.write_table(pa.table({"uri ": ["a.jpg", "b.jpg"], " label": [3, 4]}), tmp_path / "m.parquet")
    for name in ("m.jsonl", "m.parquet"):
        assert [ref.label for ref in read(tmp_path / name)] == ["3", "4"]
    (tmp_path / "m.jsonl").write_text('{"uri": "a.jpg", "label ": 3, "label": 4}\n')
    assert "the column label stands twice" in refused(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([{"path": "a.jpg", "size": 3}]), r"the column uri holds objects \(path, size\), not URIs"),
        (pa.array([["a.jpg"]]), "the column uri holds objects"),
        (pa.array([b"\xff\xd8\xff"]), "line 1: the column uri holds bytes that are no text, not a URI"),
        (pa.array([3]), "the column uri is of type int64, not of texts"),
        (pa.array([None], pa.null()), "line 1: the line has no URI"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_a_column_that_holds_no_uris_says_what_it_holds(tmp_path, column, said):
    pq.write_table(pa.table({"uri": column}), tmp_path / "m.parquet")
    assert re.search(said, refused(tmp_path / "m.parquet"))


def test_texts_that_their_writer_did_not_call_texts_are_uris(tmp_path):
    pq.write_table(pa.table({"uri": [b"a.jpg"], "label": pa.array(["3"]).dictionary_encode()}), tmp_path / "m.parquet")
    assert [(ref.uri, ref.label) for ref in read(tmp_path / "m.parquet")] == [(f"{tmp_path}/a.jpg", "3")]


def test_an_object_as_uri_in_json_says_what_it_is(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"uri": {"bytes": "x", "path": "a"}}')
    assert "line 1: the column uri holds an object with bytes, path, not a URI" in refused(tmp_path / "m.jsonl")
    (tmp_path / "m.jsonl").write_text('{"uri": 17}')
    assert "line 1: the column uri holds a number, not a URI" in refused(tmp_path / "m.jsonl")


def test_a_pipe_is_refused_before_it_is_read(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    assert "a pipe or device can be read only once" in refused(pipe)
    assert "can be read only once" in refused("/dev/null", format="txt")
    reader, writer = os.pipe()
    with contextlib.closing(os.fdopen(writer, "w")) as file:
        file.write("uri\n")
        assert "can be read only once" in refused(f"/dev/fd/{reader}", format="csv")
    os.close(reader)


def test_damaged_files_are_refused_by_name(tmp_path):
    packed = bytearray(gzip.compress(b"uri\n" + b"a.jpg\nb.jpg\n" * 500))
    packed[20:24] = b"\xff\xff\xff\xff"
    (tmp_path / "m.csv.gz").write_bytes(packed)
    assert "cannot be read" in refused(tmp_path / "m.csv.gz")
    pq.write_table(pa.table({"uri": [f"{i}.jpg" for i in range(5000)]}), tmp_path / "m.parquet", compression="zstd")
    content = bytearray((tmp_path / "m.parquet").read_bytes())
    content[2000:4000] = bytes(2000)
    (tmp_path / "m.parquet").write_bytes(content)
    assert "cannot be read" in refused(tmp_path / "m.parquet")


def test_nan_is_no_class(tmp_path):
    lines = [{"uri": "a", "label": float("nan")}, {"uri": "b", "label": 2.0, "targets": [float("nan"), 1.0]},
             {"uri": "c", "label": True, "targets": [float("nan")]}]  # fmt: skip
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [(ref.label, ref.targets) for ref in read(tmp_path / "m.jsonl")] == [
        (None, None), ("2", ("1",)), ("True", None)]  # fmt: skip


COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 3, "file_name": "sub/b.jpg"}, {"id": 9, "file_name": "c.jpg"}],
    "annotations": [
        {"image_id": 3, "bbox": [10, 20, 30, 40], "category_id": 1},
        {"image_id": 7, "bbox": [1, 2, 3.5, 4], "category_id": 2},
        {"image_id": 7, "bbox": [5, 6, 7, 8], "category_id": 1},
        {"image_id": 3, "bbox": [0, 0, 1, 1], "category_id": 1},
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
}


@pytest.mark.parametrize("box_format", ["xyxy", "xywh"])
def test_coco_gives_boxes_and_the_category_where_there_is_but_one(tmp_path, box_format):
    (tmp_path / "instances.json").write_text(json.dumps(COCO))
    a, b, c = read(tmp_path / "instances.json", box_format=box_format)
    assert (a.uri, a.label, a.boxes, a.extra) == (
        f"{tmp_path}/a.jpg", None, ((1, 2, 4.5, 6), (5, 6, 12, 14)), ('["dog", "cat"]',))  # fmt: skip
    assert (b.uri, b.label, b.boxes) == (f"{tmp_path}/sub/b.jpg", "cat", ((10, 20, 40, 60), (0, 0, 1, 1)))
    assert (c.label, c.boxes, c.extra) == (None, (), (None,))


def test_coco_without_annotations_knows_of_no_boxes(tmp_path):
    (tmp_path / "m.json.gz").write_bytes(gzip.compress(json.dumps({"images": COCO["images"]}).encode()))
    assert [ref.boxes for ref in read(tmp_path / "m.json.gz")] == [None, None, None]


@pytest.mark.parametrize("tree", [[], {"a": 1}, {"images": [{"id": 1}]}, {"images": [1]}, 3, "x",
                                  {"images": [{"id": 1, "file_name": "a"}],
                                   "annotations": [{"image_id": 1, "bbox": [1]}]},
                                  {"images": [{"id": 1, "file_name": 3}]}])  # fmt: skip
def test_other_json_is_refused_by_name(tmp_path, tree):
    (tmp_path / "m.json").write_text(json.dumps(tree))
    assert "not COCO's JSON" in (said := refused(tmp_path / "m.json")) or "holds a number, not a URI" in said


def test_hugging_faces_metadata_names_files_beside_it(tmp_path):
    lines = [{"file_name": "train/a.jpg", "label": "cat", "objects": {"bbox": [[1, 2, 3, 4]], "categories": [0]}},
             {"file_name": "b.jpg", "label": "dog", "objects": {"bbox": [], "categories": []}}]  # fmt: skip
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    a, b = read(tmp_path / "metadata.jsonl")
    assert (a.uri, a.label, a.boxes) == (f"{tmp_path}/train/a.jpg", "cat", ((1, 2, 4, 6),))
    assert (b.uri, b.boxes) == (f"{tmp_path}/b.jpg", ())
    (tmp_path / "metadata.csv").write_text("file_name,label\na.jpg,3\n")
    assert [ref.label for ref in read(tmp_path / "metadata.csv")] == ["3"]
    (tmp_path / "metadata.csv").write_text("uri,label\na.jpg,3\n")  # our own, which happens to be called so
    assert [ref.uri for ref in read(tmp_path / "metadata.csv")] == [f"{tmp_path}/a.jpg"]
    (tmp_path / "metadata.csv").write_text("name,label\na.jpg,3\n")
    assert "there is no column uri" in refused(tmp_path / "metadata.csv")


@pytest.fixture
def archive(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name in ("photos/a.jpg", "photos/sub/b.png", "photos/readme.txt", "other/c.jpg", "top.jpg"):
            zipped.writestr(name, name)
        zipped.writestr("m.csv", "uri,label\nphotos/a.jpg,3\n")
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    return str(tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("inside", "names"),
    [
        ("photos", ["photos/a.jpg", "photos/sub/b.png"]),
        ("photos/", ["photos/a.jpg", "photos/sub/b.png"]),
        ("", ["other/c.jpg", "photos/a.jpg", "photos/sub/b.png", "top.jpg"]),
        ("/", ["other/c.jpg", "photos/a.jpg", "photos/sub/b.png", "top.jpg"]),
        ("*/*.jpg", ["other/c.jpg", "photos/a.jpg"]),
        ("photos/**/*.png", ["photos/sub/b.png"]),
    ],
)
def test_a_folder_or_a_glob_inside_an_archive(archive, inside, names):
    refs = read(f"zip://{inside}::{archive}")
    assert sorted(ref.uri for ref in refs) == [f"zip://{name}::{archive}" for name in names]
    assert STORAGE.fetch(refs[0].uri, 100).decode() in names


def test_a_manifest_inside_an_archive_names_what_lies_beside_it(archive):
    (ref,) = read(f"zip://m.csv::{archive}")
    assert (ref.uri, ref.label) == (f"zip://photos/a.jpg::{archive}", "3")
    assert STORAGE.fetch(ref.uri, 100) == b"photos/a.jpg"


def test_threads_do_not_share_the_limit_of_fields(tmp_path):
    (tmp_path / "m.csv").write_text("uri,a\n" + f"x.jpg,{'y' * 2_000_000}\n")
    done = []
    thread = threading.Thread(target=lambda: done.append(len(read(tmp_path / "m.csv"))))
    thread.start()
    thread.join()
    assert done == [1]
