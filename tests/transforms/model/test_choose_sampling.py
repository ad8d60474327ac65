"""Who decides how photos are resized: the user, else the model, else nobody, which is said."""

import pytest

from transforms.model.choose_sampling import FoundResizing, choose_sampling
from transforms.model.errors import ModelRefused
from transforms.model.no_model import no_model_card
from transforms.model.options import ModelOptions
from transforms.sampling import Sampling

LAYER = FoundResizing(224, 224, Sampling("crop", "bilinear", antialias=False), "its layer resizing")


def chosen(found=None, **options):
    return choose_sampling(ModelOptions("a test", **options), found)


def test_where_nobody_knows_it_is_areas_and_a_note():
    sampling, notes = chosen()
    assert sampling == Sampling()
    assert len(notes) == 1
    assert "averaged over areas" in notes[0]
    assert "model.interpolation: nearest for keras.utils.load_img" in notes[0]


def test_a_choice_is_obeyed_without_a_note():
    assert chosen(LAYER, interpolation="area") == (Sampling(), ())
    assert chosen(LAYER, interpolation="bicubic", antialias=True, crop_fraction=0.9) == (
        Sampling("stretch", "bicubic", True, 0.9), (),
    )  # fmt: skip


def test_what_the_model_says_is_taken_and_said():
    sampling, notes = chosen(LAYER)
    assert sampling == LAYER.sampling
    assert notes == (
        "photos are resized as its layer resizing does: crop, bilinear, no antialias; in whole levels of 0..255",
    )


def test_what_the_user_says_of_the_rest_counts_first():
    assert chosen(LAYER, resize="pad", pad_color=(7, 7, 7))[0] == Sampling("pad", "bilinear", False, 1, (7, 7, 7))
    assert chosen(LAYER, crop_fraction=0.875)[0] == Sampling("stretch", "bilinear", False, 0.875)


@pytest.mark.parametrize("found", [None, LAYER])
def test_a_colour_of_bars_where_there_are_none_is_refused(found):
    with pytest.raises(ModelRefused, match=r"model.pad_color is \[1, 2, 3\], but photos are resized by"):
        chosen(found, pad_color=(1, 2, 3))


def test_no_model_is_fed_as_asked():
    assert no_model_card(ModelOptions("none")).fingerprint == "no-model-224x224-stretch"
    card = no_model_card(ModelOptions("none", resize="crop", interpolation="nearest", crop_fraction=0.5))
    assert card.fingerprint == "no-model-224x224-crop-interpolation=nearest-antialias=True-crop_fraction=0.5"
    assert card.sampling == Sampling("crop", "nearest", True, 0.5)
