"""Groups of images that look alike to the model, for the search for slices."""

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

GROUPS = 16
_FEWEST = 10 * GROUPS  # images
_DIMS = 32  # principal components
_FITTED = 100_000  # images
_BLOCK = 65_536


def group_alike(units: np.ndarray) -> np.ndarray:
    """The group of each image, int32 ``[N]``, by mini-batch k-means (Sculley 2010); -1 where there are too few images.

    Args:
        units: float16 ``[N, d]``, principal components, those of most variance first.
    """
    if len(units) < _FEWEST:
        return np.full(len(units), -1, np.int32)
    short = units[:, :_DIMS]
    with threadpool_limits(1):  # the batches are too small to share out
        model = MiniBatchKMeans(GROUPS, random_state=0, n_init=3, batch_size=1024)
        model.fit(short[:_FITTED].astype(np.float32))
        blocks = [
            model.predict(short[start : start + _BLOCK].astype(np.float32)) for start in range(0, len(short), _BLOCK)
        ]
    return np.concatenate(blocks).astype(np.int32)
