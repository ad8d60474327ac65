"""The numbers of a check, against values worked out by hand."""

import math

import numpy as np
import pytest

from transforms.model.check.measures import mcnemar, mutual_information, spread


def test_mutual_information_is_that_of_sure_and_of_undecided_scores():
    assert mutual_information(np.eye(4)) == pytest.approx(math.log(4))
    assert mutual_information(np.full((5, 4), 0.25)) == pytest.approx(0)
    assert mutual_information(np.tile(np.eye(4)[0], (5, 1))) == pytest.approx(0)  # sure, and the same of every image
    half = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    assert mutual_information(half) == pytest.approx(math.log(2))


def test_classes_that_do_not_exclude_each_other_are_a_yes_or_no_each():
    both = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert mutual_information(both, each_class_alone=True) == pytest.approx(math.log(2) / 2)


def test_the_spread_of_predicted_classes():
    assert spread(np.array([3, 3, 3])) == pytest.approx(0)
    assert spread(np.array([0, 1, 2, 3])) == pytest.approx(math.log(4))


def test_mcnemar_counts_the_images_on_which_two_differ():
    taken = np.array([True] * 5 + [False] * 10)
    other = np.array([True] * 4 + [False] + [True] * 9 + [False])
    wins, losses, p_value = mcnemar(taken, other)
    assert (wins, losses) == (9, 1)
    assert p_value == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(taken, taken) == (0, 0, 1.0)
