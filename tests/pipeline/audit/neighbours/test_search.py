"""Neighbours, groups, votes and outliers against slow, obvious ways to find them."""

import numpy as np
import pytest

from pipeline.audit.neighbours import search
from pipeline.audit.neighbours.duplicates import group_pairs, near_duplicates, same_content
from pipeline.audit.neighbours.judge import are_outliers, label_candidates, others_only, outlier_scores, vote
from pipeline.audit.neighbours.search import Nearest, find_nearest


def units(count: int, size: int = 24, seed: int = 0, noise: float = 0.4) -> np.ndarray:
    """Clusters of ten, float16, of the length one."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(-(-count // 10), size)), 10, axis=0)[:count]
    vectors = centres + rng.normal(size=(count, size)) * noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def obvious(vectors: np.ndarray, place: int, count: int) -> list[int]:
    distances = [
        (1 - float(vectors[place].astype(np.float32) @ other.astype(np.float32)), number)
        for number, other in enumerate(vectors)
        if number != place
    ]
    return [number for _, number in sorted(distances)[:count]]


@pytest.mark.parametrize(("total", "count"), [(2500, 10), (1030, 3), (7, 20), (2, 5)])
def test_the_exact_search_finds_what_a_loop_finds(total, count):
    vectors = units(total)
    found = find_nearest(vectors, count, exact=True)
    assert found.places.shape == (total, min(count, total - 1))
    for place in (0, total // 2, total - 1):
        expected = obvious(vectors, place, count)
        own, others = vectors[place].astype(np.float32), vectors.astype(np.float32)
        np.testing.assert_allclose(found.distances[place], 1 - others[expected] @ own, atol=1e-5)
        assert set(found.places[place].tolist()) == set(expected)
    assert (np.diff(found.distances, axis=1) >= 0).all()


@pytest.mark.parametrize("total", [0, 1])
def test_who_is_alone_has_no_neighbours(total):
    assert find_nearest(units(10)[:total], 5).places.shape == (total, 0)


def test_the_graph_finds_almost_all_and_measures_exactly():
    pytest.importorskip("usearch", reason="usearch, of the extra neighbours, is not installed")
    vectors = units(3000, 160)
    exact, found = find_nearest(vectors, 10, exact=True), find_nearest(vectors, 10, exact=False)
    assert (found.is_exact, exact.is_exact) == (False, True)
    assert not (found.places == np.arange(3000)[:, None]).any()
    shared = [len(set(a) & set(b)) for a, b in zip(exact.places.tolist(), found.places.tolist(), strict=True)]
    assert np.mean(shared) > 9
    for place in (0, 1234):
        own, others = vectors[place].astype(np.float32), vectors[found.places[place]].astype(np.float32)
        np.testing.assert_allclose(found.distances[place], 1 - others @ own, atol=1e-5)


@pytest.mark.parametrize("total", [2, 5, 17])
def test_the_graph_of_few_images_gives_what_there_is(total, monkeypatch):
    pytest.importorskip("usearch", reason="usearch, of the extra neighbours, is not installed")
    monkeypatch.setattr(search, "_ADDED", 4)  # the last block has a single image
    vectors = units(total)
    exact, found = find_nearest(vectors, 20, exact=True), find_nearest(vectors, 20, exact=False)
    np.testing.assert_array_equal(found.places, exact.places)
    np.testing.assert_allclose(found.distances, exact.distances, atol=1e-5)


def test_copies_are_pairs_and_neighbours_in_a_crowd_are_not():
    vectors = units(400, 64, noise=0.7).astype(np.float32)
    crowd = vectors[:1] + np.random.default_rng(5).normal(size=(40, 64)) * 0.045  # all within 0.15, none far nearer
    copies = vectors[200:230] + np.random.default_rng(6).normal(size=(30, 64)) * 0.03
    everything = np.vstack([vectors, crowd, copies])
    everything /= np.linalg.norm(everything, axis=1, keepdims=True)
    first, second = near_duplicates(find_nearest(everything, 20))
    planted = {(200 + number, 440 + number) for number in range(30)}
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == planted
    similar = everything[400:440] @ everything[400:440].T
    assert np.median(1 - similar[np.triu_indices(40, 1)]) < 0.15


def test_the_same_bytes_are_pairs_and_unknown_bytes_are_none():
    first, second = same_content(np.array([7, 0, 7, 9, 0, 7], np.uint64))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (2, 5)]


def test_groups_are_chains_and_numbered_by_their_first_image():
    first, second = np.array([6, 1, 3]), np.array([2, 4, 6])
    assert group_pairs(first, second, 8).tolist() == [-1, 0, 1, 1, 0, -1, 1, -1]
    assert group_pairs(np.zeros(0, int), np.zeros(0, int), 3).tolist() == [-1, -1, -1]


def test_an_image_is_not_its_own_neighbour_under_another_name():
    nearest = Nearest(np.array([[1, 2], [0, 2], [0, 1]], np.int32), np.array([[0.01, 0.5]] * 3, np.float32), True)
    others = others_only(nearest, np.array([0, 0, -1]))
    assert others.places.tolist() == [[2, -1], [2, -1], [0, 1]]
    assert others.distances[0].tolist() == [0.5, np.inf]


def test_a_label_is_doubted_where_neighbours_and_model_agree_on_another():
    # Two classes of six images each, all alike within a class; the first has the other's label, the last too.
    places = np.array([[n for n in range(12) if n // 6 == m // 6 and n != m] for m in range(12)], np.int32)
    nearest = Nearest(places, np.full((12, 5), 0.3, np.float32), True)
    labels = np.array([1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0])
    predicted = np.array([0] * 5 + [1] + [1] * 6)  # of the sixth the model is wrong
    votes = vote(nearest, labels, predicted)
    np.testing.assert_allclose(votes.predicted[[0, 5, 11]], [1, 0.2, 1], atol=1e-6)
    np.testing.assert_allclose(votes.label[[0, 1, 11]], [0, 0.8, 0], atol=1e-6)
    assert np.flatnonzero(label_candidates(votes, labels, predicted)).tolist() == [0, 11]
    unlabelled = np.where(np.arange(12) < 6, -1, labels)
    votes = vote(nearest, unlabelled, predicted)
    assert np.isnan(votes.most[:6]).all()
    assert np.flatnonzero(label_candidates(votes, unlabelled, predicted)).tolist() == [11]


def test_nearer_neighbours_have_more_votes():
    places, distances = np.array([[1, 2, 3]] * 4, np.int32), np.array([[0.1, 0.2, 0.3]] * 4, np.float32)
    votes = vote(Nearest(places, distances, True), np.array([0, 1, 2, 2]), np.array([1, 1, 1, 1]))
    weights = np.exp([0.0, -1.0, -2.0])
    np.testing.assert_allclose(votes.predicted[0], weights[0] / weights.sum(), rtol=1e-5)
    np.testing.assert_allclose(votes.most[0], weights[0] / weights.sum(), rtol=1e-5)


def test_what_is_far_from_all_is_an_outlier_and_evenly_spread_images_have_none():
    vectors = units(300, 16).astype(np.float32)
    lonely = -vectors[:100].mean(axis=0) * 3
    everything = np.vstack([vectors * 0.2 + np.eye(16)[0], [lonely - 2 * np.eye(16)[0]]])
    everything /= np.linalg.norm(everything, axis=1, keepdims=True)
    nearest = find_nearest(everything, 10)
    scores = outlier_scores(nearest)
    assert np.flatnonzero(are_outliers(nearest)).tolist() == [300]
    assert not are_outliers(find_nearest(everything[-19:], 10)).any()  # too few to say
    np.testing.assert_allclose(np.median(scores), 1, atol=0.01)
    even = np.eye(64, dtype=np.float32)
    assert not are_outliers(find_nearest(even, 10)).any()
    assert np.isnan(outlier_scores(find_nearest(even[:1], 10))).all()
