"""The file of neighbours: planted copies, wrong labels and outliers are in it, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from planted import COPIED, LONELY, WRONG, planted_run
from typer.testing import CliRunner

from pipeline.audit.errors import AuditError
from pipeline.audit.inputs.neighbours import NEIGHBOUR_SCHEMA
from pipeline.audit.inputs.table import open_table
from pipeline.audit.neighbours import vectors
from pipeline.audit.neighbours.vectors import read_vectors
from pipeline.audit.neighbours.write import write_neighbours
from pipeline.cli import app
from pipeline.runs.record import run_at
from transforms.records import image_id_of
from transforms.storage.storage import Storage
from transforms.table.parts import list_parts

STORAGE = Storage()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_at(str(planted_run(tmp_path_factory.mktemp("planted"))), STORAGE)


@pytest.fixture(scope="module")
def found(run):
    return write_neighbours(run, STORAGE, lambda line: None)


@pytest.fixture(scope="module")
def rows(run, found):
    table = pq.read_table(run.files.neighbours)
    assert table.schema.remove_metadata() == NEIGHBOUR_SCHEMA
    photos = Path(run.output).parent / "photos"
    names = {image_id_of(str(path)): path.stem for path in photos.glob("*.jpg")}
    return {names[row["image_id"]]: row for row in table.to_pylist()}


def test_it_says_what_was_planted_and_no_more(found):
    told = (found.images, found.groups, found.copies, found.leaking, found.label_candidates, found.outliers)
    assert told == (75, 3, 3, 3, 2, 1)
    assert found.is_exact
    np.testing.assert_allclose(found.kept_variance, 1, atol=1e-5)


def test_copies_are_groups_across_splits(rows):
    groups = {name: row["duplicate_group"] for name, row in rows.items() if row["duplicate_group"] is not None}
    assert groups.keys() == COPIED.keys() | set(COPIED.values())
    assert all(groups[name] == groups[copy] for name, copy in COPIED.items())
    assert sum(row["is_copy"] for row in rows.values()) == 3
    assert {name for name, row in rows.items() if row["leaks"]} == groups.keys()


def test_wrong_labels_are_candidates(rows):
    doubted = {name: row["suggested_index"] for name, row in rows.items() if row["suggested_index"] is not None}
    assert doubted == {"cat-10": 0, "rocket-11": 2}
    assert doubted.keys() == WRONG.keys()
    assert all(rows[name]["predicted_votes"] > 2 * rows[name]["label_votes"] for name in doubted)


def test_what_is_unlike_all_others_is_an_outlier(rows):
    assert [name for name, row in rows.items() if row["is_outlier"]] == [LONELY]
    assert max(rows, key=lambda name: rows[name]["outlier_score"]) == LONELY


def test_neighbours_are_of_the_same_class_and_not_the_copy(rows):
    by_id = {row["image_id"]: name for name, row in rows.items()}
    for name, copy in COPIED.items():
        near = [by_id[image_id] for image_id in rows[name]["neighbours"]]
        assert len(near) == 10
        assert copy not in near
        assert {other.split("-")[0] for other in near[:5]} == {name.split("-")[0]}
        assert rows[name]["neighbour_distances"] == sorted(rows[name]["neighbour_distances"])


def test_the_plane_is_that_of_the_first_two_components(run, rows):
    parts = list(list_parts(f"{run.output}/statistics", STORAGE))
    table = pq.read_table(parts[0].replace("/statistics/", "/embeddings/")).to_pylist()
    values = np.array([row["embedding"] for row in table])
    centred = values - values.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    plane = {row["image_id"]: place for row, place in zip(table, centred @ directions[:2].T, strict=True)}
    by_id = {row["image_id"]: row for row in rows.values()}
    for axis, name in enumerate(("emb_x", "emb_y")):
        expected = np.array([plane[image_id][axis] for image_id in by_id])
        written = np.array([row[name] for row in by_id.values()])
        assert min(np.abs(written - expected).max(), np.abs(written + expected).max()) < 1e-2


def test_few_components_of_a_sample_are_nearly_as_good(run, monkeypatch):
    parts = list(list_parts(f"{run.output}/statistics", STORAGE))
    with open_table({"statistics": run}, STORAGE) as table:
        ids = table.arrays("SELECT image_id FROM statistics ORDER BY image_id")["image_id"].astype("S32")
    runs = np.full(len(ids), "r1")
    whole = read_vectors(parts, ids, runs, STORAGE)
    monkeypatch.setattr(vectors, "SAMPLE", 40)
    monkeypatch.setattr(vectors, "DIMS", 20)
    few = read_vectors(parts, ids, runs, STORAGE)
    assert (whole.units.shape, few.units.shape) == ((75, 40), (75, 20))
    assert 0.8 < few.kept < 1
    np.testing.assert_allclose(np.linalg.norm(few.units.astype(float), axis=1), 1, atol=2e-3)
    similar = [each.units.astype(float) @ each.units.astype(float).T for each in (whole, few)]
    assert np.corrcoef(similar[0].ravel(), similar[1].ravel())[0, 1] > 0.9
    assert read_vectors(parts, ids, np.full(len(ids), "r2"), STORAGE).places.size == 0  # rows of another run


def test_the_command_prints_one_line_and_refuses_what_cannot_be(run, found, tmp_path):
    ended = CliRunner().invoke(app, ["neighbours", run.output, "--split", "split"])
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["leaking"] == 3
    refused = CliRunner().invoke(app, ["neighbours", run.output, "--split", "fold"])
    assert refused.exit_code == 2
    assert "no column 'fold'" in refused.stderr
    assert "it has split" in refused.stderr


def test_a_run_without_embeddings_is_told_how_to_have_them(tmp_path):
    from synthetic import Example, blob, write_run

    folder = write_run(tmp_path / "out", "r1", [Example("a", blob(0.5, 0.5), (1.0, 0.0, 0.0))])
    with pytest.raises(AuditError, match=r"run it again with explain\.embedding: true"):
        write_neighbours(run_at(str(folder), STORAGE), STORAGE, lambda line: None)


def test_a_file_that_is_no_table_of_neighbours_is_refused_by_name(tmp_path):
    run = run_at(str(planted_run(tmp_path)), STORAGE)
    Path(run.files.neighbours).write_bytes(b"PAR1")
    with (
        pytest.raises(AuditError, match=r"neighbours\.parquet is not what this version writes .* beam-gradcam neighb"),
        open_table({"statistics": run}, STORAGE, neighbours=True),
    ):
        pass
