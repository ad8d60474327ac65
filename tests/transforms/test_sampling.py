"""What a sampling needs of the decoder, what of it counts, and how a card keeps it."""

import json

import pytest

from transforms.sampling import Sampling

SAMPLINGS = [
    Sampling(),
    Sampling("crop"),
    Sampling("pad", "bilinear", False, pad_color=(1, 2, 3)),
    Sampling("stretch", "nearest"),
    Sampling("crop", "bicubic", True, 0.875),
    Sampling("stretch", "lanczos5", None, 0.9),
]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_card_gives_it_back(sampling):
    fields = json.loads(json.dumps({"name": "unit", "bgr": False} | sampling.as_fields()))
    assert Sampling.of(fields) == sampling.settled()


def test_a_card_of_an_earlier_version_means_areas():
    assert Sampling.of({"name": "none", "resize": "pad"}) == Sampling("pad")
    assert Sampling.of({"name": "none"}) == Sampling()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Sampling(), Sampling(antialias=True)),  # area averages anyway
        (Sampling(interpolation="bicubic"), Sampling(interpolation="bicubic", antialias=False)),
        (Sampling(interpolation="nearest"), Sampling(interpolation="nearest", antialias=True)),
        (Sampling("crop"), Sampling("crop", pad_color=(9, 9, 9))),  # no bars
    ],
)
def test_what_makes_no_difference_does_not_count(one, other):
    assert one.settled() == other.settled()
    assert one.as_fields() == other.as_fields()


def test_what_makes_a_difference_counts():
    kept = [json.dumps(sampling.as_fields()) for sampling in SAMPLINGS]
    assert len(set(kept)) == len(SAMPLINGS)


def test_areas_of_the_whole_photo_are_the_default():
    assert [sampling.beyond_default() for sampling in SAMPLINGS[:2]] == [{}, {}]
    assert Sampling("pad", pad_color=(1, 2, 3)).beyond_default() == {"pad_color": (1, 2, 3)}
    assert SAMPLINGS[4].beyond_default() == {"interpolation": "bicubic", "antialias": True, "crop_fraction": 0.875}


@pytest.mark.parametrize(
    ("sampling", "need"),
    [
        (Sampling(), (224, 160)),
        (Sampling("crop", crop_fraction=0.875), (256, 183)),
        (Sampling(interpolation="bicubic", antialias=True), (224, 160)),
        (Sampling(interpolation="bicubic"), None),
        (Sampling(interpolation="bilinear", antialias=False), None),
        (Sampling(interpolation="nearest"), None),
        (Sampling(interpolation="nearest", antialias=False), None),
    ],
)
def test_filters_that_pick_pixels_need_all_of_them(sampling, need):
    assert sampling.need(224, 160) == need


def test_it_can_be_read():
    assert str(Sampling()) == "stretch, area"
    assert (
        str(Sampling("pad", "lanczos3", pad_color=(114,) * 3)) == "pad, lanczos3, no antialias, bars of [114, 114, 114]"
    )
    assert str(SAMPLINGS[4]) == "crop, bicubic, antialias, the central 0.875 of each side"
    assert Sampling("pad").differences(Sampling("crop", "nearest")) == [
        "resize pad",
        "interpolation area",
        "antialias None",
    ]
