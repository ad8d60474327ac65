"""Clusters of maps within a class: does a class look at one place, or at several?"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from pipeline.audit.inputs import AuditTable

FEWEST_MAPS = 20  # of a class, to be worth clustering
MOST_MAPS = 2000  # of a class: beyond, those with the smallest ids, which are hashes
MOST_CLASSES = 100
MEDOIDS = 4
_PER_CLUSTER = 10  # maps for each cluster, on average, at least
_MOST_CLUSTERS = 5

SMALL, TIGHT, SMALLEST = 0.3, 0.6, 5


@dataclasses.dataclass(frozen=True, eq=False)
class Cluster:
    """Maps of one class that look alike."""

    class_index: int
    size: int
    share: float  # of the class's maps that were clustered, 0..1
    dispersion: float  # mean Hellinger distance of its maps to their mean, 0..1; 0 = all the same
    probability: float  # mean probability of the class
    mean: np.ndarray  # [h, w], lift of each cell
    medoids: tuple[str, ...]  # image ids nearest to the centre
    members: tuple[str, ...] = ()  # all image ids, the nearest first
    usual_dispersion: float = float("nan")  # the median of the run's clusters
    is_candidate: bool = False


def cluster_class(maps: np.ndarray, probabilities: np.ndarray, ids: Sequence[str], class_index: int) -> list[Cluster]:
    """Cluster the maps of one class, the largest cluster first.

    Mini-batch k-means (Sculley 2010) on the square roots of the maps: their Euclidean distance is, up to a factor, the
    Hellinger distance between maps taken as distributions. One cluster for every ten maps, five at most.

    Args:
        maps: float64 ``[N, h, w]`` that sum to one.
        probabilities: float64 ``[N]``.
        ids: N image ids.
    """
    count, height, width = maps.shape
    roots = np.sqrt(maps.reshape(count, -1))
    number = max(1, min(_MOST_CLUSTERS, count // _PER_CLUSTER))
    with threadpool_limits(1):  # the batches are too small to share out
        labels = MiniBatchKMeans(number, random_state=0, n_init=3, batch_size=1024).fit_predict(roots)
    clusters = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        distances = np.linalg.norm(roots[members] - roots[members].mean(axis=0), axis=1) / np.sqrt(2)
        known = probabilities[members][~np.isnan(probabilities[members])]  # none where the model gives values
        nearest = members[np.argsort(distances, kind="stable")]
        clusters.append(
            Cluster(
                class_index=class_index,
                size=len(members),
                share=len(members) / count,
                dispersion=float(distances.mean()),
                probability=float(known.mean()) if known.size else float("nan"),
                mean=maps[members].mean(axis=0) * height * width,
                medoids=tuple(ids[place] for place in nearest[:MEDOIDS]),
                members=tuple(ids[place] for place in nearest),
            )
        )
    return sorted(clusters, key=lambda cluster: -cluster.size)


def find_clusters(table: AuditTable, indices: Sequence[int], height: int, width: int) -> list[list[Cluster]]:
    """The clusters of each of the first classes of ``indices`` that have enough maps.

    A cluster is a candidate for a shortcut where it is small (at most 30 % of its class, at least 5 maps), tight (at
    most 0.6 of the median dispersion of all clusters of the run) and at least as confident as its class.
    """
    counts = table.records(
        "SELECT target_index, count(*) AS maps FROM statistics WHERE status IN ('OK', 'FLAT') GROUP BY target_index"
    )
    enough = {row["target_index"] for row in counts if row["maps"] >= FEWEST_MAPS}
    chosen = [int(index) for index in indices if int(index) in enough][:MOST_CLASSES]
    columns = table.arrays(
        "SELECT target_index, image_id, target_probability, cam FROM statistics "
        "WHERE list_contains($classes, target_index) AND status IN ('OK', 'FLAT') QUALIFY row_number() OVER "
        f"(PARTITION BY target_index ORDER BY image_id) <= {MOST_MAPS} ORDER BY target_index, image_id",
        {"classes": chosen},
    )
    found = []
    for index in chosen:
        rows = slice(*np.searchsorted(columns["target_index"], [index, index + 1]))
        maps = np.stack(list(columns["cam"][rows])).astype(np.float64)
        maps = (maps / maps.sum(axis=1, keepdims=True)).reshape(-1, height, width)
        probabilities = columns["target_probability"][rows].astype(np.float64)
        found.append(cluster_class(maps, probabilities, list(columns["image_id"][rows]), index))
    if not found:
        return []
    usual = float(np.median([cluster.dispersion for clusters in found for cluster in clusters]))
    return [[_judged(cluster, clusters, usual) for cluster in clusters] for clusters in found]


def _judged(cluster: Cluster, clusters: list[Cluster], usual_dispersion: float) -> Cluster:
    size = sum(other.size for other in clusters)
    probability = sum(other.probability * other.size for other in clusters) / size
    return dataclasses.replace(
        cluster,
        usual_dispersion=usual_dispersion,
        is_candidate=cluster.size >= SMALLEST
        and cluster.share <= SMALL
        and cluster.dispersion <= TIGHT * usual_dispersion
        and cluster.probability >= probability,
    )
