"""Which images of a manifest a check looks at."""

import numpy as np

from transforms.manifest.manifest import Manifest
from transforms.manifest.survey import survey_manifest
from transforms.storage.storage import Storage


def sampled(tmp_path, names: list[str], size: int = 20) -> list[str]:
    path = tmp_path / "photos.txt"
    path.write_text("\n".join(names))
    refs = survey_manifest(Manifest(str(path)), Storage(), size).sample
    return [ref.uri.rpartition("/")[2] for ref in refs]


def test_the_sample_is_the_same_in_whatever_order_the_lines_are(tmp_path):
    names = [f"{number}.jpg" for number in range(500)]
    first = sampled(tmp_path, names)
    assert len(set(first)) == 20
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    assert sampled(tmp_path, shuffled) == first
    assert sampled(tmp_path, [*shuffled, *shuffled]) == first  # duplicates are no further images
    assert sampled(tmp_path, names, 0) == []
    assert sorted(sampled(tmp_path, names[:7])) == sorted(names[:7])


def test_the_sample_is_spread_over_the_whole_manifest(tmp_path):
    places = [int(name.removesuffix(".jpg")) for name in sampled(tmp_path, [f"{n}.jpg" for n in range(2000)], 200)]
    assert abs(np.mean(places) - 1000) < 150
    assert np.std(places) > 450


def test_a_manifest_that_grows_keeps_most_of_its_sample(tmp_path):
    names = [f"{number}.jpg" for number in range(1000)]
    before, after = (
        set(sampled(tmp_path, names, 64)),
        set(sampled(tmp_path, [*names, *(f"new-{n}" for n in range(50))], 64)),
    )
    assert len(before & after) >= 54


def test_labels_and_expected_predictions_come_along(tmp_path):
    path = tmp_path / "photos.csv"
    path.write_text("uri,label,mine\na.jpg,cat,dog\nb.jpg,,0.75\nc.jpg,cup,\n")
    summary = survey_manifest(Manifest(str(path), expected_column="mine"), Storage(), 3)
    known = {ref.uri.rpartition("/")[2]: (ref.label, ref.expected) for ref in summary.sample}
    assert known == {"a.jpg": ("cat", "dog"), "b.jpg": (None, "0.75"), "c.jpg": ("cup", None)}
    assert summary.extra_columns == ()
    assert survey_manifest(Manifest(str(path)), Storage()).extra_columns == ("mine",)
