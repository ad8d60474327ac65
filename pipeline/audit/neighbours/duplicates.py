"""Groups of images that are the same picture: the same bytes, or embeddings that are almost the same."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.audit.neighbours.search import Nearest

CERTAIN = 0.02
"""1 - cosine: below, two images are one whatever lies around them."""

LIKELY = 0.15
"""Up to here they are one if they are far nearer to each other than to their other neighbours.

Of 30 copies of photos that were encoded at a quality of 40, made smaller by 40 % or cropped by 7 %, the farthest was at
0.133 from its original; of the 12,690 pairs of different photos the nearest were at 0.196.
"""

FAR_NEARER = 0.5
_REACH = 10
"""Their other neighbours: the tenth. Where a class has thousands of photos, different ones are near, too."""


def near_duplicates(nearest: Nearest) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of places, int64 ``[P]`` each, the smaller first, of images that are almost the same."""
    count = nearest.places.shape[1]
    if count == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    reach = nearest.distances[:, min(_REACH, count) - 1]
    places = np.maximum(nearest.places, 0)
    nearer = nearest.distances <= FAR_NEARER * np.minimum(reach[:, None], reach[places])
    few = count < _REACH  # so few images that there is no tenth
    near = (nearest.distances <= CERTAIN) | ((nearest.distances <= LIKELY) & (nearer | few))
    rows, columns = np.nonzero(near & (nearest.places >= 0))
    others = nearest.places[rows, columns].astype(np.int64)
    pairs = np.unique(np.stack([np.minimum(rows, others), np.maximum(rows, others)]), axis=1)
    return pairs[0], pairs[1]


def same_content(contents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of places of images with the same number ``[N]``, which stands for their bytes; 0: unknown."""
    order = np.argsort(contents, kind="stable")
    same = (contents[order][1:] == contents[order][:-1]) & (contents[order][1:] != 0)
    return order[:-1][same].astype(np.int64), order[1:][same].astype(np.int64)


def group_pairs(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """The group of each of ``count`` images, int32, numbered in the order of their first images; -1 where it is alone.

    Who is the same as the same is the same: chains count as one group.
    """
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    sizes = np.bincount(labels, minlength=1)
    alone = sizes[labels] == 1
    groups = np.full(count, -1, np.int32)
    _, firsts, numbers = np.unique(labels[~alone], return_index=True, return_inverse=True)
    rank = np.empty(len(firsts), np.int32)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    groups[~alone] = rank[numbers]
    return groups
