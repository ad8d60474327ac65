"""Files that hold images as manifests: a line for each image, what is known of it, and its bytes again."""

import dataclasses
import io
import tarfile
import zipfile

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from containers import Packed, write_parquet, write_records, write_tar, write_zip

from transforms.manifest import indexes
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.read import read_manifest
from transforms.manifest.survey import ManifestSummary, survey_manifest
from transforms.storage.sequential import SequentialReader
from transforms.storage.storage import Storage

STORAGE = Storage()
PNG = b"\x89PNG\r\n\x1a\n"
IMAGES = [
    Packed(f"{i:03d}", PNG + bytes([i]) * (10 + 40 * i), label="cat" if i % 2 else "dog", site=f"site {i % 3}")
    for i in range(12)
]
WRITERS = {"tar": write_tar, "zip": write_zip, "tfrecord": write_records, "parquet": write_parquet}


def survey(uri, tmp_path, **how) -> tuple[ManifestSummary, Manifest]:
    manifest = Manifest(str(uri), indexes=f"{tmp_path}/out/indexes", **how)
    found = survey_manifest(manifest, STORAGE)
    return found, dataclasses.replace(manifest, extra_columns=found.extra_columns, pieces=found.pieces)


def refs_of(uri, tmp_path, **how):
    return list(read_manifest(survey(uri, tmp_path, **how)[1], STORAGE))


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("place", ["local", "memory"])
def test_every_image_is_a_line_and_its_uri_gives_its_bytes(tmp_path, kind, place):
    path = WRITERS[kind](tmp_path / f"x.{kind}", IMAGES)
    uri = str(path)
    if place == "memory":
        uri = f"memory://{kind}-{tmp_path.name}/x.{kind}"
        STORAGE.put(uri, path.read_bytes())
    found, manifest = survey(uri, tmp_path, labels="folder" if kind == "zip" else "auto")
    refs = list(read_manifest(manifest, STORAGE))
    assert found.count == len(refs) == len({ref.image_id for ref in refs}) == 12
    assert [ref.label for ref in refs] == [image.label for image in IMAGES]
    if kind != "zip":
        sites = manifest.extra_columns.index("site")
        assert [ref.extra[sites] for ref in refs] == [image.site for image in IMAGES]
    assert [STORAGE.fetch(ref.uri, 1 << 20) for ref in refs] == [image.content for image in IMAGES]
    assert [STORAGE.read(ref.uri) for ref in refs[:2]] == [image.content for image in IMAGES[:2]]
    reader = SequentialReader(refs, STORAGE)
    assert [reader.fetch(ref, 1 << 20) for ref in refs] == [image.content for image in IMAGES]
    if kind in ("tar", "zip"):
        with fsspec.open(refs[3].uri) as file:
            assert file.read() == IMAGES[3].content
    assert [ref.uri for ref in refs_of(uri, tmp_path, limit=5)] == [ref.uri for ref in refs[:5]]


def test_the_uris_say_where_an_image_lies(tmp_path):
    assert refs_of(write_tar(tmp_path / "x.tar", IMAGES), tmp_path)[1].uri == f"tar://001.png::{tmp_path}/x.tar"
    assert refs_of(write_parquet(tmp_path / "x.parquet", IMAGES), tmp_path)[1].uri == (
        f"parquet://1/image::{tmp_path}/x.parquet")  # fmt: skip
    write_records(tmp_path / "x.tfrecord", IMAGES)
    uris = [ref.uri for ref in refs_of(tmp_path / "x.tfrecord", tmp_path)]
    ends = [int(uri.partition("-")[2].partition("/")[0]) for uri in uris]
    assert uris[0] == f"tfrecord://0-{ends[0]}/image/encoded::{tmp_path}/x.tfrecord"
    assert uris[1] == f"tfrecord://{ends[0]}-{ends[1]}/image/encoded::{tmp_path}/x.tfrecord"
    assert ends[-1] == (tmp_path / "x.tfrecord").stat().st_size


@pytest.mark.parametrize("kind", WRITERS)
def test_a_glob_or_folder_of_them_is_one_manifest(tmp_path, kind):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        WRITERS[kind](folder / f"{number}.{kind}", IMAGES[4 * number : 4 * number + 4])
    for uri in (f"{folder}/*.{kind}", folder):
        found, manifest = survey(uri, tmp_path)
        assert (found.count, found.has_containers) == (12, True)
        assert [(piece.start, piece.count) for piece in found.pieces] == [(0, 4), (4, 4), (8, 4)]
        refs = list(read_manifest(manifest, STORAGE))
        assert [STORAGE.fetch(ref.uri, 1 << 20) for ref in refs] == [image.content for image in IMAGES]


def test_an_index_is_made_once_and_again_when_the_file_is_another(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "x.tar", IMAGES)
    read: list[str] = []
    build = indexes._build
    monkeypatch.setattr(indexes, "_build", lambda kind, *rest: read.append(kind) or build(kind, *rest))
    first = refs_of(path, tmp_path)
    assert refs_of(path, tmp_path) == first
    assert read == ["tar"]
    refs_of(path, tmp_path, label_column="class")  # other cells
    assert read == ["tar"] * 2
    write_tar(path, IMAGES[:7])
    assert len(refs_of(path, tmp_path)) == 7
    assert read == ["tar"] * 3


def test_what_lies_beside_an_image_in_a_webdataset(tmp_path):
    files = {"a.jpg": b"1", "a.cls": b" 7\n", "a.json": b'{"site": "x", "label": "not this", "boxes": [[0, 0, 2, 2]]}',
             "a.txt": b"a cat", "a.seg.png": b"mask", "sub/b.1.jpg": b"2", "sub/b.2.jpg": b"3", "c.JPG": b"4",
             "c.npy": b"?", "._a.jpg": b"?", "a::b.jpg": b"?", "d.json": b"{}", "README": b"?"}  # fmt: skip
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found, manifest = survey(tmp_path / "x.tar", tmp_path)
    refs = {ref.uri.partition("::")[0]: ref for ref in read_manifest(manifest, STORAGE)}
    assert list(refs) == ["tar://a.jpg", "tar://sub/b.1.jpg", "tar://sub/b.2.jpg", "tar://c.JPG"]
    assert found.extra_columns == ("site", "txt")
    first = refs["tar://a.jpg"]
    assert (first.label, first.boxes, first.extra) == ("7", ((0, 0, 2, 2),), ("x", "a cat"))
    assert refs["tar://c.JPG"].label is None
    assert found.passed_over == (
        "5 files are passed over: 1 .npy, 1 with :: in the name, 1 without a suffix, 1 .seg.png, 1 .json")  # fmt: skip


def test_names_that_a_data_set_gives_its_classes(tmp_path):
    path = write_parquet(tmp_path / "x.parquet", IMAGES, names=["cat", "dog"], rows=5)
    found, manifest = survey(path, tmp_path)
    assert found.label_names == ("cat", "dog")
    assert [ref.label for ref in read_manifest(manifest, STORAGE)] == ["1", "0"] * 6
    named = dataclasses.replace(manifest, label_names=found.label_names)
    assert [ref.label for ref in read_manifest(named, STORAGE)] == [image.label for image in IMAGES]


def test_columns_of_other_names(tmp_path):
    write_parquet(tmp_path / "x.parquet", IMAGES, is_struct=False)
    table = pq.read_table(tmp_path / "x.parquet")
    pq.write_table(table.rename_columns(["photo", "kind", "site"]), tmp_path / "x.parquet")
    with pytest.raises(ManifestError, match=r"there is no column uri; .*such as {image: photo}"):
        survey(tmp_path / "x.parquet", tmp_path)
    refs = refs_of(tmp_path / "x.parquet", tmp_path, image_column="photo", label_column="kind")
    assert refs[1].label == "cat"
    assert STORAGE.fetch(refs[1].uri, 1 << 20) == IMAGES[1].content
    with pytest.raises(ManifestError, match="the column site is not there, or holds neither bytes"):
        survey(tmp_path / "x.parquet", tmp_path, image_column="site")
    write_records(tmp_path / "x.tfrecord", IMAGES, feature="my/photo", label="image/class/label")
    refs = refs_of(tmp_path / "x.tfrecord", tmp_path)
    assert "/my/photo::" in refs[0].uri
    assert [ref.label for ref in refs] == [image.label for image in IMAGES]
    assert refs_of(tmp_path / "x.tfrecord", tmp_path, image_column="my/photo") == refs


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.tar", b"not a tar", "not a plain tar file"),
        ("x.zip", b"not a zip", "not a plain zip file"),
        ("x.tfrecord", b"not records, but a text of some length", "not a TFRecord file after record 0"),
        ("x.tar.gz", None, "a compressed one has to be unpacked"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, name, content, said):
    if content is None:
        write_tar(tmp_path / name, IMAGES, "w:gz")
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=said):
        survey(tmp_path / name, tmp_path)


def test_records_without_an_image_say_what_they_hold(tmp_path):
    write_records(tmp_path / "x.tfrecord", [Packed("a", b"no image", site="here")])
    with pytest.raises(ManifestError, match="record 1: none of image/encoded, name, site holds an image; name it"):
        survey(tmp_path / "x.tfrecord", tmp_path)


def test_a_parquet_file_with_uris_beside_images_is_a_manifest_of_uris(tmp_path):
    table = pa.table({"uri": ["a.jpg"], "thumbnail": [b"\xff\xd8\xff"]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert [ref.uri for ref in refs_of(tmp_path / "x.parquet", tmp_path)] == [f"{tmp_path}/a.jpg"]


def test_a_zip_has_members_of_either_kind(tmp_path):
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = write_zip(tmp_path / f"{compression}.zip", IMAGES, compression)
        refs = refs_of(path, tmp_path)
        reader = SequentialReader(refs, STORAGE)
        assert [reader.fetch(ref, 1 << 20) for ref in refs] == [image.content for image in IMAGES]
