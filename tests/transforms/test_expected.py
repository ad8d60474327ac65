"""What the user's own predictions say, in every way that they are written."""

import numpy as np
import pytest

from transforms.expected import Expected, agreement, expected_of
from transforms.records import ImageRef
from transforms.targets import Classes

PETS = Classes(3, ("cat", "dog", "0.5"))


@pytest.mark.parametrize(
    ("text", "classes", "wanted"),
    [
        ("dog", PETS, Expected(1)),
        ("2", PETS, Expected(2)),
        ("0.5", PETS, Expected(2)),  # a name wins
        ("0.75", PETS, Expected(None, 0.75)),
        ("0.75", Classes(2), Expected(1, 0.75)),
        ("0.25", Classes(2), Expected(0, 0.25)),
        ("1", Classes(2), Expected(1)),
        ("1.5", PETS, None),
        ("nan", PETS, None),
        ("bird", PETS, None),
        (None, PETS, None),
    ],
)
def test_cells(text, classes, wanted):
    assert expected_of(ImageRef("a.jpg", "0", expected=text), classes) == wanted


def test_agreement_is_of_the_images_that_have_predictions():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]])
    expected = [Expected(0), Expected(2), None, Expected(None, 0.43)]
    assert agreement(expected, probabilities.argmax(axis=1), probabilities) == pytest.approx(2 / 3)
    assert agreement([None], np.zeros(1, int), probabilities[:1]) is None


def test_of_two_classes_a_probability_is_that_of_the_second():
    probabilities = np.array([0.7, 0.3])
    assert Expected(None, 0.3).agrees(0, probabilities)
    assert not Expected(None, 0.7).agrees(0, probabilities)
