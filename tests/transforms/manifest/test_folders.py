"""Labels from the names of folders."""

import pytest

from transforms.manifest.folders import are_classes, folder_of
from transforms.manifest.manifest import Manifest
from transforms.manifest.survey import survey_manifest
from transforms.storage.storage import Storage


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("/data/train/tabby cat/1.jpg", "tabby cat"),
        ("s3://bucket/train/dog/1.jpg", "dog"),
        ("s3://bucket/1.jpg", "bucket"),
        ("zip://cat/1.jpg::/data/x.zip", "cat"),
        ("zip://1.jpg::/data/dog/x.zip", None),
        ("https://host/train/tabby%20cat/1.jpg?sig=a/b", "tabby cat"),
        ("/1.jpg", None),
    ],
)
def test_the_folder_of_an_image(uri, folder):
    assert folder_of(uri) == folder


def test_folders_are_classes_where_nearly_all_images_lie_in_such():
    names = ("cat", "dog", "rocket")
    assert are_classes([("cat", 10), ("dog", 1)], names)
    assert are_classes([("cat", 50), ("dog", 50), ("broken", 5)], names)
    assert not are_classes([("cat", 50), ("dog", 50), ("2024", 50)], names)
    assert not are_classes([("cat", 50)], names)  # a folder that is called so by chance
    assert not are_classes([("0", 50), ("1", 50)], names)
    assert not are_classes([("cat", 50), ("dog", 50)], None)


def test_only_listings_are_asked_for_their_folders(tmp_path):
    for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "m.txt").write_text("cat/1.jpg\ndog/2.jpg\n")
    assert survey_manifest(Manifest(str(tmp_path)), Storage()).folders == (("dog", 2), ("cat", 1))
    assert survey_manifest(Manifest(f"{tmp_path}/*/*.jpg"), Storage()).folders == (("dog", 2), ("cat", 1))
    assert survey_manifest(Manifest(f"{tmp_path}/m.txt"), Storage()).folders == ()
