import dataclasses

import numpy as np
import pytest
from example_runs import examples
from scipy import stats
from synthetic import blob, write_run

from pipeline.audit.analysis.correlates import find_correlates
from pipeline.audit.inputs.table import open_table
from pipeline.runs.record import run_at
from transforms.storage.storage import Storage

STORAGE = Storage()


def correlates(folder):
    with open_table({"statistics": run_at(str(folder), STORAGE)}, STORAGE) as table:
        rows = table.records("SELECT * FROM statistics WHERE status = 'OK' ORDER BY image_id")
        return {(found.covariate, found.look): found for found in find_correlates(table)}, rows


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The site decides whether the map is left or right, the altitude how far down, and the class nothing."""
    rng = np.random.default_rng(3)
    made = []
    for number, example in enumerate(examples(corner=False)):
        altitude = float(rng.uniform(0, 1000))
        x = 0.3 if number % 2 else 0.7
        cam = blob(x + rng.normal(0, 0.05), 0.3 + altitude / 2500)
        made.append(dataclasses.replace(example, cam=cam, extra=(("north", "south")[number % 2], f"{altitude:.1f}")))
    folder = tmp_path_factory.mktemp("correlates")
    return correlates(write_run(folder / "out", "r1", made, extra_columns=("site", "altitude")))


def test_what_was_planted_is_found_and_nothing_else(found):
    pairs, _ = found
    notable = {pair for pair, correlate in pairs.items() if correlate.is_notable}
    assert {("site", "across"), ("altitude", "down")} <= notable
    assert all(covariate in ("site", "altitude") for covariate, _ in notable)
    assert pairs["site", "across"].is_categorical
    assert pairs["site", "across"].strength > 0.8
    assert pairs["altitude", "down"].strength > 0.8


def test_the_raw_strength_is_spearmans_rho(found):
    pairs, rows = found
    wanted = stats.spearmanr([float(row["altitude"]) for row in rows], [row["centroid_y"] for row in rows])
    assert pairs["altitude", "down"].raw == pytest.approx(wanted.statistic)
    assert pairs["altitude", "down"].count == len(rows)


def test_a_property_of_a_class_alone_is_no_correlate(tmp_path):
    """Each class has its own site and its own place: within a class the two have nothing to do with each other."""
    rng = np.random.default_rng(4)
    made = []
    for number, example in enumerate(examples(corner=False)):
        kind = number % 3
        cam = blob(0.2 + 0.3 * kind + rng.normal(0, 0.05), 0.5)
        made.append(dataclasses.replace(example, cam=cam, extra=(f"{100 * kind + rng.normal():.3f}",)))
    pairs, _ = correlates(write_run(tmp_path / "out", "r1", made, extra_columns=("altitude",)))
    assert pairs["altitude", "across"].raw > 0.8
    assert abs(pairs["altitude", "across"].strength) < 0.4
    assert not pairs["altitude", "across"].is_notable
