import numpy as np
import pytest
from synthetic import Example, blob, write_run

from pipeline.audit.analysis.clusters import cluster_class, find_clusters
from pipeline.audit.inputs.table import open_table
from pipeline.runs.record import run_at
from transforms.storage.storage import Storage

STORAGE = Storage()


def scattered(rng, count):
    return [blob(*rng.uniform(0.2, 0.8, 2)) + 0.1 * blob(*rng.uniform(0, 1, 2)) for _ in range(count)]


def test_two_places_are_two_clusters_with_their_sizes_and_means():
    rng = np.random.default_rng(0)
    maps = np.stack([blob(0.2, 0.2)] * 12 + [blob(0.8, 0.8)] * 18) + rng.uniform(0, 0.02, (30, 7, 7))
    maps /= maps.sum(axis=(1, 2), keepdims=True)
    probabilities = np.repeat([0.9, 0.5], [12, 18])
    clusters = cluster_class(maps, probabilities, [f"i{number}" for number in range(30)], 4)
    assert sum(cluster.size for cluster in clusters) == 30
    for cluster in clusters:
        y, x = np.unravel_index(cluster.mean.argmax(), (7, 7))
        assert (y, x) in ((1, 1), (5, 5))
        assert cluster.probability == pytest.approx(0.9 if x == 1 else 0.5)
        assert cluster.mean.mean() == pytest.approx(1)  # a lift
        members = {f"i{number}" for number in (range(12) if x == 1 else range(12, 30))}
        assert set(cluster.medoids) <= members
        assert cluster.dispersion < 0.1


def test_a_few_equal_and_confident_maps_are_a_candidate_and_scattered_ones_are_not(tmp_path):
    rng = np.random.default_rng(1)
    made = [Example(f"s{number}", cam, (3.0, 0.0, 0.0)) for number, cam in enumerate(scattered(rng, 40))]
    made += [
        Example(f"m{number}", blob(0.02, 0.98) + 0.01 * rng.random((7, 7)), (5.0, 0.0, 0.0)) for number in range(10)
    ]
    made += [Example(f"o{number}", cam, (0.0, 3.0, 0.0)) for number, cam in enumerate(scattered(rng, 50))]
    made += [Example(f"f{number}", cam, (0.0, 0.0, 3.0)) for number, cam in enumerate(scattered(rng, 19))]
    run = run_at(str(write_run(tmp_path / "out", "r1", made)), STORAGE)
    with open_table({"statistics": run}, STORAGE) as table:
        found = find_clusters(table, [0, 1, 2], 7, 7)
        uris = {row["image_id"]: row["uri"] for row in table.records("SELECT image_id, uri FROM statistics")}
    assert [of_class[0].class_index for of_class in found] == [0, 1]  # 19 maps are too few
    assert [sum(cluster.size for cluster in of_class) for of_class in found] == [50, 50]
    candidates = [cluster for of_class in found for cluster in of_class if cluster.is_candidate]
    assert [(cluster.class_index, cluster.size) for cluster in candidates] == [(0, 10)]
    assert all("/m" in uris[image_id] for image_id in candidates[0].medoids)
