"""Class names from options, files and ImageNet, checked against the scores."""

import json

import pytest

from transforms.model.errors import ModelRefused
from transforms.model.load.bundled.packages import imagenet_names
from transforms.model.load.class_names import read_class_names, resolve_class_names
from transforms.storage.storage import Storage

PETS = ("cat", "dog", "big, bad wolf")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("names.txt", "cat\r\ndog\nbig, bad wolf\n\n"),
        ("names.txt", "\ufeffcat\ndog\nbig, bad wolf"),
        ("names.json", json.dumps(PETS)),
        ("names.json", json.dumps({"2": "big, bad wolf", "0": "cat", "1": "dog"})),
        ("names.json", json.dumps({"big, bad wolf": 2, "cat": 0, "dog": 1})),
        ("names.json", json.dumps({"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "big, bad wolf"]})),
        ("names.csv", 'index,name\n2,"big, bad wolf"\n0,cat\n1,dog\n'),
        ("names.csv", 'name,index\n"big, bad wolf",2\ncat,0\ndog,1\n'),
        ("names.csv", 'label\ncat\ndog\n"big, bad wolf"\n'),
        ("names.csv", '0,cat\n1,dog\n2,"big, bad wolf"\n'),
        ("names.csv", 'cat\ndog\n"big, bad wolf"\n'),
    ],
)
def test_files_of_class_names(tmp_path, file, content):
    (tmp_path / file).write_text(content, newline="")
    assert read_class_names(str(tmp_path / file), Storage()) == PETS
    assert resolve_class_names(str(tmp_path / file), 3, is_imagenet=False, storage=Storage()) == PETS


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("names.txt", "cat\n\ndog\n", "line 2 is empty"),
        ("names.json", "[1, 2]", "neither a JSON list of names nor"),
        ("names.json", "{", "is not JSON"),
        ("names.json", '{"1": "cat", "2": "dog"}', "does not name the classes 0 to 1 once each"),
        ("names.csv", "index,name\n0,cat\n0,dog\n", "does not name the classes 0 to 1 once each"),
        ("names.csv", "index,name\nzero,cat\n", "columns index and name"),
    ],
)
def test_damaged_files_say_what_is_wrong(tmp_path, file, content, message):
    (tmp_path / file).write_text(content)
    with pytest.raises(ModelRefused, match=message):
        read_class_names(str(tmp_path / file), Storage())


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match=r"the class names at .*nowhere\.txt cannot be read: FileNotFoundError"):
        resolve_class_names(str(tmp_path / "nowhere.txt"), 3, is_imagenet=False, storage=Storage())


def test_the_count_must_be_that_of_the_scores():
    with pytest.raises(ModelRefused, match=r"model\.class_names has 3 class names, the model has 4 classes"):
        resolve_class_names(PETS, 4, is_imagenet=False, storage=Storage())
    assert resolve_class_names(PETS, None, is_imagenet=False, storage=Storage()) == PETS


def test_two_classes_may_not_share_a_name():
    with pytest.raises(ModelRefused, match="names two classes 'cat'"):
        resolve_class_names(("cat", "dog", "cat"), 3, is_imagenet=False, storage=Storage())


def test_imagenet_names_are_its_first_synonyms_and_all_different():
    names = imagenet_names()
    assert len(set(names)) == 1000
    assert [names[i] for i in (0, 285, 967, 134, 517)] == [
        "tench", "Egyptian cat", "espresso", "crane bird", "construction crane",
    ]  # fmt: skip


def test_auto_names_imagenet_heads_only():
    assert resolve_class_names("auto", 1000, is_imagenet=True, storage=Storage()) == imagenet_names()
    assert resolve_class_names("auto", 1000, is_imagenet=False, storage=Storage()) is None
    assert resolve_class_names("auto", 5, is_imagenet=True, storage=Storage()) is None
    assert resolve_class_names(None, 1000, is_imagenet=True, storage=Storage()) is None


def test_imagenet_with_a_background_class():
    names = resolve_class_names("imagenet", 1001, is_imagenet=False, storage=Storage())
    assert (names[0], names[286], len(names)) == ("background", "Egyptian cat", 1001)
    with pytest.raises(ModelRefused, match="ImageNet has 1000 class names, the model has 7 classes"):
        resolve_class_names("imagenet", 7, is_imagenet=False, storage=Storage())
