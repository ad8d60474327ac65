import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from transforms.statistics.distance import jensen_shannon_distance, resample


def test_distances_by_hand():
    left = np.array([[[1.0, 0.0]], [[2.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]]])
    right = np.array([[[0.0, 3.0]], [[5.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]]])
    # (1/2, 1/2) and (1, 0): m = (3/4, 1/4), H(m) = 0.8113, mean of the entropies 1/2.
    wanted = [1.0, 0.0, np.sqrt(0.811278 - 0.5), np.nan]
    np.testing.assert_allclose(jensen_shannon_distance(left, right), wanted, atol=1e-6)


def test_distances_are_those_of_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.random((5, 3, 4)), rng.random((5, 3, 4)) ** 4
    wanted = [jensenshannon(p.ravel(), q.ravel(), base=2) for p, q in zip(first, second, strict=True)]
    np.testing.assert_allclose(jensen_shannon_distance(first, second), wanted, rtol=1e-9)


def test_resampling_by_hand():
    three = np.array([[[6.0, 3.0, 0.0]]])
    np.testing.assert_allclose(resample(three, 1, 2), [[[7.5, 1.5]]])
    np.testing.assert_allclose(resample(np.array([[[1.0, 2.0], [3.0, 4.0]]]), 1, 1), [[[10.0]]])
    np.testing.assert_allclose(resample(np.array([[[1.0, 2.0]]]), 1, 4), [[[0.5, 0.5, 1.0, 1.0]]])


def test_resampling_onto_a_larger_frame_by_hand():
    two = np.array([[[1.0, 2.0]]])
    there = resample(two, 1, 4, covers=(0.25, 0.0, 0.75, 1.0), onto=(0.0, 0.0, 1.0, 1.0))
    np.testing.assert_allclose(there, [[[0.0, 1.0, 2.0, 0.0]]])
    there = resample(two, 1, 2, covers=(0.0, 0.0, 1.0, 1.0), onto=(-1.0, 0.0, 1.0, 1.0))
    np.testing.assert_allclose(there, [[[0.0, 3.0]]])
    there = resample(two, 1, 1, covers=(0.0, 0.0, 1.0, 1.0), onto=(0.0, 0.0, 0.75, 1.0))
    np.testing.assert_allclose(there, [[[2.0]]])  # half of the second cell lies beyond


@pytest.mark.parametrize("size", [(5, 6), (7, 3), (14, 14)])
def test_resampling_keeps_the_mass_and_where_it_is(size):
    maps = np.random.default_rng(1).random((4, 7, 7))
    there = resample(maps, *size)
    np.testing.assert_allclose(there.sum(axis=(1, 2)), maps.sum(axis=(1, 2)))

    def centroid(grid):
        return (grid.sum(axis=1) * (np.arange(grid.shape[2]) + 0.5) / grid.shape[2]).sum(axis=1) / grid.sum(axis=(1, 2))

    np.testing.assert_allclose(centroid(there), centroid(maps), atol=0.03)
    if size == (14, 14):
        np.testing.assert_allclose(resample(there, 7, 7), maps)
