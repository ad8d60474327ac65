"""Folders and globs: what is an image, what is passed over, and where a listing ends."""

from collections import Counter

import pytest

from transforms.manifest.listing import list_folder, list_glob
from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.survey import survey_manifest
from transforms.storage.storage import Storage

STORAGE = Storage()


def fill(folder, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def listed(folder, **how) -> tuple[list[str], Counter]:
    passed_over = Counter()
    found = list(list_folder(Manifest(str(folder), **how), STORAGE, passed_over))
    return [uri.removeprefix(f"{folder}/") for uri in found], passed_over


def test_every_picture_is_listed_and_the_rest_is_counted_by_suffix(tmp_path):
    pictures = ["a.JPG", "b.jfif", "c.ppm", "d.pgm", "e.heic", "f.jp2", "g.apng", "h.tiff", "sub/i.avif"]
    fill(tmp_path, *pictures, "notes.txt", "labels.txt", "sub/readme", "x.json", ".hidden.jpg")
    found, passed_over = listed(tmp_path)
    assert found == pictures
    assert passed_over == {".txt": 2, ".json": 1, "without a suffix": 1}
    survey = survey_manifest(Manifest(str(tmp_path)), STORAGE)
    assert (survey.count, survey.passed_over) == (
        9, "4 files are passed over: 2 .txt, 1 .json, 1 without a suffix")  # fmt: skip


def test_a_folder_without_a_picture_says_what_it_has(tmp_path):
    fill(tmp_path, "notes.txt")
    with pytest.raises(ManifestError, match=r"names no image; .* \(1 file is passed over: 1 \.txt\)"):
        survey_manifest(Manifest(str(tmp_path)), STORAGE)


def test_links_are_followed_and_a_ring_of_links_ends(tmp_path):
    images, other = tmp_path / "images", tmp_path / "other"
    fill(images, "cats/1.jpg")
    fill(other, "2.jpg", "deep/3.jpg")
    (images / "dogs").symlink_to(other)  # a class folder that lies elsewhere
    (images / "same dogs").symlink_to(other)
    (images / "up").symlink_to(tmp_path)
    (other / "back").symlink_to(images)
    (other / "self").symlink_to(other)
    (images / "lost").symlink_to(tmp_path / "nothing")
    (images / "photo.jpg").symlink_to(other / "2.jpg")
    found, _ = listed(images)
    assert [name for name in found if name.count("/") < 2] == [
        "photo.jpg",
        "cats/1.jpg",
        "dogs/2.jpg",
        "same dogs/2.jpg",
    ]
    assert {"dogs/deep/3.jpg", "same dogs/deep/3.jpg"} <= set(found)
    assert len(found) == len(set(found))
    assert not [name for name in found if "self" in name or "back" in name]


def test_outputs_within_the_folder_are_left_out(tmp_path):
    fill(tmp_path, "1.jpg", "2.jpg", "overlays of cats/3.jpg", "out/overlays/run=r1/ab/1-2.jpg",
         "out/runs/r1/report/images/a.jpg", "elsewhere/overlays/run=r9/ab/1-2.jpg",
         "elsewhere/runs/r9/compare/r8/images/x.png", "out/stray.png")  # fmt: skip
    found, passed_over = listed(tmp_path, left_out=(f"{tmp_path}/out",))
    assert found == ["1.jpg", "2.jpg", "overlays of cats/3.jpg"]
    assert passed_over == {"outputs of earlier runs": 5}
    globbed = list(list_glob(Manifest(f"{tmp_path}/**/*.jpg", left_out=(f"{tmp_path}/out",)), STORAGE, Counter()))
    assert [uri.removeprefix(f"{tmp_path}/") for uri in globbed] == ["1.jpg", "2.jpg", "overlays of cats/3.jpg"]


@pytest.mark.parametrize("base", ["local", "memory"])
def test_a_glob_lists_files_and_no_folders(tmp_path, base):
    root = str(tmp_path) if base == "local" else f"memory://{tmp_path.name}"
    for name in ("a.jpg", "b.jpg/inside.txt"):
        STORAGE.put(f"{root}/{name}", b"x")
    assert list(list_glob(Manifest(f"{root}/*.jpg"), STORAGE, Counter())) == [f"{root}/a.jpg"]
