"""The report of a run with planted neighbours: sentences, pictures, and tests that take copies as one."""

import json
from pathlib import Path

import numpy as np
import pytest
from example_runs import examples
from planted import COPIED, LONELY, WRONG, planted_run
from synthetic import Example, blob, write_run

from pipeline.audit.analysis.classes import audit_classes
from pipeline.audit.analysis.correlates import find_correlates
from pipeline.audit.findings.of_classes import class_findings
from pipeline.audit.inputs.measures import list_measures
from pipeline.audit.inputs.table import open_table
from pipeline.audit.neighbours.findings import neighbour_findings
from pipeline.audit.neighbours.write import write_neighbours
from pipeline.audit.report import write_report
from pipeline.audit.slices.discover import find_slices
from pipeline.audit.slices.features import read_features
from pipeline.audit.slices.measure import audit_slices
from pipeline.runs.record import run_at
from transforms.records import image_id_of
from transforms.storage.storage import Storage

STORAGE = Storage()


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    folder = planted_run(tmp_path_factory.mktemp("planted"))
    run = run_at(str(folder), STORAGE)
    write_neighbours(run, STORAGE, quiet)
    page = write_report(run, STORAGE)
    return run, Path(page).read_text(), json.loads((folder / "report" / "findings.json").read_text())


def test_the_sentences_have_subject_number_and_baseline(reported):
    _, page, _ = reported
    for sentence in (
        "3 of 25 photos of split test are in train too, as the same picture or nearly so. The model is right about "
        "100% of them, and 100% of the rest of test.",
        "2 labels of 75 photos may be wrong: the model predicts another class, and so are the most similar photos "
        "labelled.",
        "6 of 75 photos show only 3 different pictures, the same or nearly so; the tests of this report count each "
        "picture once, and leave 3 photos out.",
        "1 of 75 photos is unlike all others: up to",
    ):
        assert sentence in page
    assert "several labels" not in page
    assert page.count('<section id="neighbours">') == 1


def test_the_photos_of_each_finding_are_those_that_were_planted(reported):
    run, _, findings = reported
    with open_table({"statistics": run}, STORAGE) as table:
        names = {
            row["image_id"]: row["uri"].rpartition("/")[2].removesuffix(".jpg")
            for row in table.records("SELECT image_id, uri FROM statistics")
        }
    shown = [
        ({names[image_id] for image_id, _ in found["examples"]}, found["images"])
        for found in findings
        if found["kind"] == "neighbours"
    ]
    both = COPIED.keys() | set(COPIED.values())
    expected = [(both, 6), (WRONG.keys(), 2), (both, 6), ({LONELY}, 1)]
    assert len(shown) == len(expected)
    assert all(pair in shown for pair in expected)
    leaking = next(found for found in findings if "of split" in found["text"])
    pairs = [names[image_id] for image_id, _ in leaking["examples"]]
    assert all({a, b} in [set(pair) for pair in COPIED.items()] for a, b in zip(pairs[::2], pairs[1::2], strict=True))


def test_a_run_without_neighbours_has_no_such_section_and_no_findings(tmp_path):
    folder = planted_run(tmp_path)
    run = run_at(str(folder), STORAGE)
    page = Path(write_report(run, STORAGE)).read_text()
    assert 'id="neighbours"' not in page
    with open_table({"statistics": run}, STORAGE) as table:
        assert neighbour_findings(table) == []


def test_copies_with_different_labels_are_a_finding(tmp_path):
    rng = np.random.default_rng(0)
    base = {f"p{n:02d}": rng.normal(size=20) for n in range(30)}
    all_of = [Example(name, blob(0.5, 0.5), (2.0, 0.0, 0.0), label="cat") for name in base]
    all_of.append(Example("again", blob(0.5, 0.5), (2.0, 0.0, 0.0), label="cup"))
    features = base | {"again": base["p07"] * 1.001}
    run = run_at(str(write_run(tmp_path / "out", "r1", all_of, embeddings=features)), STORAGE)
    write_neighbours(run, STORAGE, quiet)
    with open_table({"statistics": run}, STORAGE, neighbours=True) as table:
        texts = [found.text for found in neighbour_findings(table)]
    assert texts[0] == (
        "One picture has several labels: 2 photos that are the same or nearly so are labelled differently."
    )


@pytest.fixture(scope="module")
def tripled(tmp_path_factory):
    """A run, and another in which every photo is there three times."""
    rng = np.random.default_rng(3)
    once = examples(corner=False, per_class=12)
    features = {example.name: rng.normal(size=30) for example in once}
    thrice, copies = list(once), dict(features)
    for example in once:
        for time in (1, 2):
            name = f"{example.name}-{time}"
            thrice.append(Example(**(vars(example) | {"name": name})))
            copies[name] = features[example.name] + rng.normal(size=30) * 0.01
    runs = []
    for name, of, embeddings in (("once", once, features), ("thrice", thrice, copies)):
        folder = write_run(
            tmp_path_factory.mktemp(name) / "out", "r1", of, extra_columns=("site",), embeddings=embeddings
        )
        run = run_at(str(folder), STORAGE)
        write_neighbours(run, STORAGE, quiet)
        runs.append(run)
    return runs


def audited(run, neighbours: bool):
    with open_table({"statistics": run}, STORAGE, neighbours=neighbours) as table:
        audit = audit_classes(table, list_measures(table))
        (site,) = audit_slices(table, ["site"], audit.measures, (7, 7))
        looks = {"across", "down", "border", "area"}
        correlates = {
            found.look: found for found in find_correlates(table) if found.covariate == "site" and found.look in looks
        }
        return audit, site, correlates, find_slices(table).images


def test_photos_that_are_there_three_times_count_once_in_every_test(tripled):
    once, thrice = tripled
    audit, site, correlates, images = audited(once, True)
    tripled_audit, tripled_site, tripled_correlates, tripled_images = audited(thrice, True)
    assert tripled_images == images
    assert (tripled_audit.means.count == audit.means.count).all()
    assert (tripled_audit.rows == 3 * audit.rows).all()  # the page says how many there are
    np.testing.assert_allclose(tripled_site.p_values, site.p_values, rtol=0.3, equal_nan=True)
    assert site.images.sum() == tripled_site.images.sum()
    for look, found in correlates.items():
        assert tripled_correlates[look].count == found.count
    too_sure, _, _, too_many = audited(thrice, False)
    assert too_many == 3 * images
    assert (too_sure.means.count == 3 * audit.means.count).all()


def test_the_finding_of_a_class_says_how_many_were_tested_and_what_of_copies(tmp_path):
    rng = np.random.default_rng(3)
    once = examples(corner=True, per_class=12)
    features = {example.name: rng.normal(size=30) for example in once}
    copies = [Example(**(vars(example) | {"name": f"{example.name}-copy"})) for example in once]
    features |= {f"{name}-copy": values for name, values in features.items()}
    run = run_at(
        str(write_run(tmp_path / "out", "r1", [*once, *copies], extra_columns=("site",), embeddings=features)), STORAGE
    )
    for is_known, count, word in ((False, 24, "make it too sure"), (True, 12, "of near duplicates it takes one")):
        if is_known:
            write_neighbours(run, STORAGE, quiet)
        with open_table({"statistics": run}, STORAGE, neighbours=True) as table:
            (found,) = class_findings(table, audit_classes(table, list_measures(table)))
        assert found.test.startswith(f"Rank-sum test of {count} maps against {2 * count} of other classes")
        assert word in found.caveat


def test_groups_of_photos_that_look_alike_are_conditions_of_slices(tmp_path):
    rng = np.random.default_rng(1)
    kinds = rng.normal(size=(4, 20)) * 3
    photos = {f"p{n:03d}": kinds[n % 4] + rng.normal(size=20) for n in range(160)}
    all_of = [
        Example(name, blob(*rng.uniform(0.3, 0.7, 2)), (2.0, 0.0, 0.0), label="cup" if n % 4 == 1 and n % 8 else "cat")
        for n, name in enumerate(photos)
    ]
    run = run_at(str(write_run(tmp_path / "out", "r1", all_of, embeddings=photos)), STORAGE)
    write_neighbours(run, STORAGE, quiet)
    with open_table({"statistics": run}, STORAGE, neighbours=True) as table:
        features = read_features(table)
    alike = [place for place, words in enumerate(features.words) if words.startswith("photos that look alike")]
    assert len(alike) == 16
    holds = features.holds[:, alike]
    assert (holds.sum(axis=1) == 1).all()
    kind_of = {image_id: n % 4 for n, image_id in enumerate(ids_of(run, photos))}
    for group in holds.T:  # of one kind each
        assert len({kind_of[image_id] for image_id in features.ids[group]}) <= 1


def ids_of(run, names) -> list[str]:
    return [image_id_of(str(Path(run.output).parent / "photos" / f"{name}.jpg")) for name in names]
