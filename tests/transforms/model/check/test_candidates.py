"""Which preprocessings a check compares."""

import dataclasses

import pytest

from transforms.model.check.candidates import candidates_beside
from transforms.model.preprocessing import LITE0, NAMED, SIXTEEN_BITS, Preprocessing

CONVENTIONS = {"none", "unit", "minus_one_to_one", "caffe", "torch", "16-bit"}


@pytest.mark.parametrize("taken", [*NAMED.values(), LITE0, SIXTEEN_BITS], ids=lambda each: each.name)
def test_what_is_taken_comes_first_and_nothing_comes_twice(taken):
    names = [each.name for each in candidates_beside(taken)]
    assert names[0] == taken.name
    assert len(set(names)) == len(names)
    other = f"{taken.name}, {'RGB' if taken.bgr else 'BGR'}"
    assert set(names) == CONVENTIONS | {taken.name, other}


def test_a_description_that_is_a_convention_is_not_compared_with_itself():
    described = dataclasses.replace(NAMED["torch"], name="custom")
    assert "torch" not in [each.name for each in candidates_beside(described)]
    near = Preprocessing("custom", (1 / 256,) * 3, (0.0,) * 3, bgr=False)
    assert "unit" in [each.name for each in candidates_beside(near)]


def test_of_integers_only_the_order_of_the_channels_is_open():
    assert [each.name for each in candidates_beside(NAMED["none"], integers=True)] == ["none", "none, BGR"]
