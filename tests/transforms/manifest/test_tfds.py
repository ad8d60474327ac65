"""Data sets as TensorFlow Datasets lays them out: numbers in the records, the names of the classes beside them."""

import dataclasses
import json

import pytest
from containers import Packed, write_records

from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.read import read_manifest
from transforms.manifest.survey import ManifestSummary, survey_manifest
from transforms.storage.storage import Storage

STORAGE = Storage()
PNG = b"\x89PNG\r\n\x1a\n"
NAMES = "black swan\ncat\n\nréseau\n"


@pytest.fixture
def folder(tmp_path):
    """``<dataset>/<config>/<version>``, two shards of a split and one of another."""
    folder = tmp_path / "birds" / "small" / "1.0.0"
    folder.mkdir(parents=True)
    images = [Packed(str(i), PNG + bytes([i]) * 20, label=str(i % 3)) for i in range(9)]
    for number, name in enumerate(("train.tfrecord-00000-of-00002", "train.tfrecord-00001-of-00002",
                                   "test.tfrecord-00000-of-00001")):  # fmt: skip
        write_records(folder / f"birds-{name}", images[3 * number : 3 * number + 3], feature="image")
    (folder / "features.json").write_text(json.dumps({"featuresDict": {"features": {"label": {"classLabel": {}}}}}))
    (folder / "dataset_info.json").write_text("{}")
    (folder / "label.labels.txt").write_text(NAMES, encoding="utf-8")
    return folder


def survey(uri, **how) -> tuple[ManifestSummary, Manifest]:
    manifest = Manifest(str(uri), **how)
    found = survey_manifest(manifest, STORAGE)
    return found, dataclasses.replace(manifest, pieces=found.pieces, label_names=found.label_names)


@pytest.mark.parametrize("what", ["", "../..", "*.tfrecord*", "birds-t*.tfrecord-*", "*.tfrecord-?????-of-0000*",
                                  "birds-train.tfrecord-00000-of-00002"])  # fmt: skip
def test_numbers_get_the_names_that_stand_beside_the_records(folder, what):
    indexes = f"{folder}/../../../indexes"
    found, manifest = survey(folder if not what else f"{folder}/{what}", indexes=indexes)
    assert found.label_names == ("black swan", "cat", "réseau")
    labels = [ref.label for ref in read_manifest(manifest, STORAGE)]
    assert labels == ["black swan", "cat", "réseau"] * (found.count // 3)
    assert found.count == (3 if what.startswith("birds-train") else 9)


def test_the_file_is_that_of_the_label_column(folder):
    (folder / "objects-kind.labels.txt").write_text("one\ntwo\nthree\n")
    indexes = f"{folder}/../indexes"
    assert survey(folder, indexes=indexes, label_column="objects/kind")[0].label_names == ("one", "two", "three")
    assert survey(folder, indexes=indexes, label_column=None)[0].label_names == ()
    (folder / "label.labels.txt").unlink()
    found, manifest = survey(folder, indexes=indexes)
    assert found.label_names == ()
    assert [ref.label for ref in read_manifest(manifest, STORAGE)][:3] == ["0", "1", "2"]


def test_folders_that_do_not_say_the_same_say_nothing(folder):
    other = folder.parent / "2.0.0"
    other.mkdir()
    write_records(other / "x.tfrecord", [Packed("x", PNG, label="0")], feature="image")
    indexes = f"{folder}/../../indexes"
    assert survey(folder.parent, indexes=indexes)[0].label_names == ()
    (other / "label.labels.txt").write_text(NAMES, encoding="utf-8")
    assert survey(folder.parent, indexes=indexes)[0].label_names == ("black swan", "cat", "réseau")


def test_names_in_another_encoding_are_refused_with_the_file(folder):
    (folder / "label.labels.txt").write_text(NAMES, encoding="latin-1")
    with pytest.raises(ManifestError, match=r"label\.labels\.txt: the names of the classes are not UTF-8"):
        survey(folder, indexes=f"{folder}/../indexes")
