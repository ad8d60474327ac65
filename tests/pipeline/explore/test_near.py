"""The explorer of a run with neighbours: columns, entry points, and the photos most like one."""

import importlib

import numpy as np
import pytest
from explored import STORAGE
from planted import COPIED, LONELY, WRONG, planted_run

from pipeline.audit.neighbours.write import write_neighbours
from pipeline.audit.report import write_report
from pipeline.explore.near import NEIGHBOUR_COLUMNS
from pipeline.explore.session import open_session
from pipeline.runs.record import run_at

testclient = pytest.importorskip("starlette.testclient", reason="pip install 'beam-gradcam[explore]' httpx")
server = importlib.import_module("pipeline.explore.server")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = run_at(str(planted_run(tmp_path_factory.mktemp("near"))), STORAGE)
    write_neighbours(run, STORAGE, lambda line: None)
    write_report(run, STORAGE)
    return run


@pytest.fixture(scope="module")
def session(run):
    with open_session(run, None, STORAGE) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(session):
    app = server.build_app(session, "t0ken", 8459)
    client = testclient.TestClient(app, base_url="http://127.0.0.1:8459", raise_server_exceptions=False)
    assert client.get("/?token=t0ken").status_code == 200
    return client


@pytest.fixture(scope="module")
def names(session):
    rows = session.records("SELECT image_id, uri FROM statistics")
    return {row["image_id"]: row["uri"].rpartition("/")[2].removesuffix(".jpg") for row in rows}


def test_what_neighbours_say_are_columns_to_filter_sort_and_plot(session, client, names):
    about = client.get("/api/about").json()
    columns = {column["name"]: column for column in about["columns"]}
    assert NEIGHBOUR_COLUMNS.keys() <= columns.keys()
    assert {columns[name]["group"] for name in NEIGHBOUR_COLUMNS} == {"Neighbours"}
    assert all(columns[name]["meaning"] == meaning for name, meaning in NEIGHBOUR_COLUMNS.items())
    assert session.extra_columns == ["split"]
    points = client.post("/api/points", json={"view": {}, "x": "emb_x", "y": "emb_y", "color": "target_index"}).json()
    assert points["total"] == 75
    where = {kind: np.array([point[1:3] for point in points["points"] if point[3] == kind]) for kind in range(3)}
    centres = [np.median(where[kind], axis=0) for kind in range(3)]
    spreads = [np.median(np.linalg.norm(where[kind] - centres[kind], axis=1)) for kind in range(3)]
    apart = [np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(apart) > 2 * max(spreads)  # the classes lie apart in the plane, as they were made


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("In several splits", COPIED.keys() | set(COPIED.values())),
        ("Doubtful labels", WRONG.keys()),
        ("The same picture", COPIED.keys() | set(COPIED.values())),
        ("Unlike all others", {LONELY}),
    ],
)
def test_entry_points_lead_to_what_was_planted(client, names, title, expected):
    (entry,) = [entry for entry in client.get("/api/about").json()["entries"] if entry["title"] == title]
    answer = client.post("/api/rows", json={"view": entry["view"]}).json()
    assert entry["rows"] == answer["total"] == len(expected)
    assert {names[row["image_id"]] for row in answer["rows"]} == set(expected)


def test_the_findings_of_the_report_lead_to_their_photos(client, names):
    entries = client.get("/api/about").json()["entries"]
    (leaking,) = [entry for entry in entries if entry["kind"] == "finding" and "of split" in entry["title"]]
    rows = client.post("/api/rows", json={"view": leaking["view"]}).json()["rows"]
    assert {names[row["image_id"]] for row in rows} == COPIED.keys() | set(COPIED.values())


def test_an_image_has_its_copies_and_its_neighbours(client, names, session):
    ids = {name: image_id for image_id, name in names.items()}
    found = client.get(f"/api/image/{ids['cat-00']}").json()["neighbours"]
    assert [names[near["image_id"]] for near in found if near["distance"] is None] == ["cat-00-copy"]
    distances = [near["distance"] for near in found[1:]]
    assert len(distances) == 10
    assert distances == sorted(distances)
    assert {near["predicted_name"] for near in found[1:6]} == {"cat"}
    assert found[0]["label_name"] == "cat"
    row = session.records("SELECT neighbours FROM statistics_neighbours WHERE image_id = $id", {"id": ids["cat-00"]})[0]
    assert [near["image_id"] for near in found[1:]] == row["neighbours"]


def test_a_run_without_neighbours_has_none_of_it(run, tmp_path):
    plain = run_at(str(planted_run(tmp_path)), STORAGE)
    with open_session(plain, None, STORAGE) as session:
        assert not NEIGHBOUR_COLUMNS.keys() & session.columns.keys()
        app = server.build_app(session, "t0ken", 8459)
        client = testclient.TestClient(app, base_url="http://127.0.0.1:8459")
        client.get("/?token=t0ken")
        image_id = session.records("SELECT image_id FROM statistics LIMIT 1")[0]["image_id"]
        assert client.get(f"/api/image/{image_id}").json()["neighbours"] == []
        assert not [entry for entry in client.get("/api/about").json()["entries"] if entry["kind"] == "neighbours"]


def test_a_run_beside_another_has_them_too(run):
    with open_session(run, run, STORAGE) as session:
        assert NEIGHBOUR_COLUMNS.keys() <= session.columns.keys()
        assert session.columns["before_distance"].group == "Since the other run"
        assert session.extra_columns == ["split"]
        row = session.records("SELECT count(*) AS n, count(before_distance) AS moved FROM statistics WHERE leaks")[0]
        assert (row["n"], row["moved"]) == (6, 6)
