"""The server: who is answered, what the page is given, and that a browser cannot ask for any other file."""

import base64
import dataclasses
import importlib
import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from explored import STORAGE, session_of, write_two_runs
from PIL import Image
from synthetic import AUDIT_CARD
from tampering import change_part, parts_of, with_column

from transforms.overlays.render import heatmap_over

testclient = pytest.importorskip("starlette.testclient", reason="pip install 'beam-gradcam[explore]' httpx")
server = importlib.import_module("pipeline.explore.server")  # whose own mistakes are no reason to skip

TOKEN = "t0ken"
HOST = "127.0.0.1:8459"
API = ["/", "/pages/app.js", "/api/about", "/photos/statistics/small/{image}", "/api/image/{image}"]


def client_of(session, signed_in=True):
    client = testclient.TestClient(
        server.build_app(session, TOKEN, 8459), base_url=f"http://{HOST}", raise_server_exceptions=False
    )
    if signed_in:
        assert client.get(f"/?token={TOKEN}").status_code == 200
    return client


@pytest.fixture(scope="module")
def client(session):
    return client_of(session)


def ask(client, name, **question):
    return client.post(f"/api/{name}", json=question)


# Who is answered


def test_without_the_token_nothing_is_answered(session, rows):
    client = client_of(session, signed_in=False)
    for path in API:
        for query in ("", "?token=", "?token=wrong", "?token=tökén"):
            answer = client.get(path.format(image=rows[0]["image_id"]) + query)
            assert (answer.status_code, answer.headers["content-type"]) == (403, "text/plain; charset=utf-8")
            assert "set-cookie" not in answer.headers
    assert ask(client, "rows", view={}).status_code == 403
    assert client.get(f"/api/about?token={TOKEN}").status_code == 403  # the page's address alone takes it


def test_the_token_becomes_a_cookie_that_no_script_and_no_other_site_has(session):
    client = client_of(session, signed_in=False)
    answer = client.get(f"/?token={TOKEN}")
    cookie = answer.headers["set-cookie"]
    assert cookie == f"beam_gradcam_explore_8459={TOKEN}; HttpOnly; Path=/; SameSite=Strict"
    assert client.get("/api/about").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8459", "127.0.0.1", "127.0.0.1:80", "localhost:1", ""])
def test_a_name_that_was_bent_to_this_machine_is_not_answered(client, host):
    for path in ("/", f"/?token={TOKEN}", "/api/about"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert client.get("/api/about", headers={"host": "localhost:8459"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},  # what a form of another site can send without asking
        {"content-type": "application/x-www-form-urlencoded"},
    ],
)
def test_other_sites_in_the_same_browser_cannot_ask(client, headers):
    answer = client.post("/api/tag", content=b"{}", headers={"content-type": "application/json"} | headers)
    assert answer.status_code == 403


def test_every_answer_says_that_the_page_asks_nobody_else(client, rows):
    for path in [*API, "/nothing", "/pages/../server.py"]:
        answer = client.get(path.format(image=rows[0]["image_id"]))
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_the_pages_name_no_other_machine(client):
    for name, content in server._pages().items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert "innerHTML" not in text, name


@pytest.mark.parametrize(
    "path", ["/pages/nothing.js", "/pages/..%2Fserver.py", "/pages/%2Fetc%2Fpasswd", "/etc/passwd"]
)
def test_there_are_no_files_but_the_pages(client, path):
    assert client.get(path).status_code == 404


# Photos


def test_a_photo_is_that_of_the_row_upright_and_no_larger_than_asked_for(client, rows):
    answer = client.get(f"/photos/statistics/small/{rows[0]['image_id']}")
    assert answer.headers["content-type"] == "image/jpeg"
    shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), float)
    original = np.asarray(Image.open(rows[0]["uri"]).convert("RGB"), float)
    assert shown.shape == original.shape == (160, 200, 3)
    assert np.abs(shown - original).mean() < 6


@pytest.mark.parametrize(
    "path",
    [
        "/photos/statistics/small/{secret}", "/photos/statistics/small/..%2F..%2Fsecret",
        "/photos/statistics/huge/{image}", "/photos/tags/small/{image}", "/photos/before/small/{image}",
        "/photos/statistics/small/%27%20OR%201%3D1",
    ],
)  # fmt: skip
def test_only_photos_of_rows_are_given(client, rows, output, path):
    (output.parent / "secret.jpg").write_bytes((output.parent / "photos" / "p000.jpg").read_bytes())
    answer = client.get(
        path.format(secret=f"{output.parent}/secret.jpg".replace("/", "%2F"), image=rows[0]["image_id"])
    )
    assert answer.status_code in (400, 404)
    assert b"JFIF" not in answer.content


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://169.254.169.254/latest/meta-data", "private"),
        ("/no/such/<img src=x onerror=alert(1)>.jpg", "No such file"),
        ("/etc/passwd", "changed since the run"),
    ],
)
def test_a_row_cannot_lead_where_the_job_could_not_go(tmp_path, uri, why):
    write_two_runs(tmp_path / "out", per_class=1)
    for part in parts_of(tmp_path / "out"):
        change_part(part, with_column("uri", [uri]))
    with session_of(tmp_path / "out") as session:
        client = client_of(session)
        image = session.records("SELECT image_id FROM statistics")[0]["image_id"]
        answer = client.get(f"/photos/statistics/small/{image}")
        assert answer.status_code == 400
        assert why in answer.json()["error"]
        assert answer.headers["content-type"] == "application/json"  # never as a page


# Questions


def test_a_row_holds_its_map_and_where_it_lies_on_the_photo(client, rows):
    row = ask(client, "rows", view={"sort": "uri", "descending": False}, limit=1).json()["rows"][0]
    (wanted,) = [each for each in rows if each["image_id"] == row["image_id"]]
    cam = np.frombuffer(base64.b64decode(row["cam"]), "<f4")
    assert cam.tolist() == wanted["cam"]
    placement = AUDIT_CARD.place(row["width"], row["height"])
    edges = placement.map_frame.to_input(np.array([0, 0, row["width"], row["height"]]))
    assert row["frame"] == [*edges.tolist(), 0.0, 0.0, 1.0, 1.0]
    assert heatmap_over(cam.reshape(7, 7), placement, 16, 20)[2].shape == (16, 20)
    names = ("cat", "cup", "rocket")
    assert (row["predicted_name"], row["label_name"]) == (wanted["predicted_name"], names[wanted["label_index"]])


def test_a_histogram_counts_what_the_other_filters_leave(client, rows):
    filters = [{"column": "site", "is": ["north"]}, {"column": "entropy", "from": 0.9, "to": None}]
    charts = ask(client, "charts", view={"filters": filters}, columns=["entropy", "site"]).json()["charts"]
    columns = {column["name"]: column for column in client.get("/api/about").json()["columns"]}
    low, high = columns["entropy"]["low"], columns["entropy"]["high"]
    north = [row["entropy"] for row in rows if row["site"] == "north"]
    counts = np.histogram(north, bins=40, range=(low, high))[0]
    assert [[place, int(n)] for place, n in enumerate(counts) if n] == charts["entropy"]
    wanted = {site: sum(row["site"] == site and row["entropy"] >= 0.9 for row in rows) for site in ("north", "south")}
    assert dict(charts["site"]) == {site: n for site, n in wanted.items() if n}


def test_points_are_the_values_of_two_columns_and_lead_to_their_row(client, rows):
    found = ask(client, "points", view={}, x="entropy", y="gini", color="site").json()
    assert found["total"] == len(rows)
    wanted = {(row["entropy"], row["gini"], row["site"]) for row in rows}
    assert {(x, y, site) for _, x, y, site in found["points"]} == wanted
    place, x, *_ = found["points"][3]
    assert ask(client, "rows", place=place).json()["image_id"] in {
        row["image_id"] for row in rows if row["entropy"] == x
    }


def test_classes_are_counted_with_the_share_that_is_right(client, rows):
    found = ask(client, "classes", view={}).json()["classes"]
    for each in found:
        of_class = [row for row in rows if row["target_index"] == each["target_index"]]
        assert each["rows"] == len(of_class)
        assert each["correct"] == pytest.approx(np.mean([row["is_correct"] for row in of_class]))
    assert {each["name"] for each in found} == {"cat", "cup", "rocket"}


def test_about_has_columns_with_ends_and_where_to_begin(client, rows):
    about = client.get("/api/about").json()
    columns = {column["name"]: column for column in about["columns"]}
    assert "cam" not in columns
    entropy = [row["entropy"] for row in rows]
    assert (columns["entropy"]["least"], columns["entropy"]["most"]) == (min(entropy), max(entropy))
    assert (columns["site"]["kind"], columns["site"]["distinct"]) == ("text", 2)
    assert (about["images"], about["rows"], about["before"]) == (len(rows), len(rows), None)
    assert {entry["title"] for entry in about["entries"]} >= {"Border lovers", "Most diffuse"}
    assert about["slices"] == [{"column": "site"}]


def test_where_to_begin_leads_to_rows(client):
    for entry in client.get("/api/about").json()["entries"]:
        assert ask(client, "rows", view=entry["view"]).json()["total"] == entry["rows"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("rows", b"{", "not JSON"),
        ("rows", b"[" * 100_000, "not JSON"),
        ("rows", b"[]", "a JSON object"),
        ("rows", b'{"view": {}, "limit": 100000}', "1 to 200 rows"),
        ("rows", b'{"view": {}, "offset": "1"}', "whole number"),
        ("rows", b'{"place": 99999}', "no row 99999"),
        ("charts", b'{"view": {}, "columns": ["x"]}', "no column 'x'"),
        ("charts", b'{"view": {}, "columns": [3]}', "a list of names"),
        ("points", b'{"view": {}, "x": "site", "y": "gini"}', "not a column of numbers"),
        ("points", b'{"view": {}, "x": "gini", "y": "gini", "color": "x"}', "no column 'x'"),
        ("export", b'{"view": {}, "format": "exe"}', "one of manifest"),
        ("export", b'{"view": {}, "format": ["csv"]}', "one of manifest"),
        ("tag", b'{"view": {}, "tag": ""}', "1 to 100 characters"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong(client, name, content, why):
    answer = client.post(f"/api/{name}", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert why in answer.json()["error"]


def test_a_question_of_megabytes_is_not_read(client):
    answer = client.post("/api/rows", content=b" " * (1 << 21), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_numbers_that_json_has_not_are_null(tmp_path):
    write_two_runs(tmp_path / "out", per_class=1)
    for part in parts_of(tmp_path / "out"):
        change_part(part, with_column("entropy", [float("nan"), float("inf"), 0.5], pa.float32()))
    with session_of(tmp_path / "out") as session:
        client = client_of(session)
        found = ask(client, "rows", view={}, columns=["entropy"]).json()["rows"]
        assert sorted((row["entropy"] for row in found), key=str) == [0.5, None, None]
        columns = {column["name"]: column for column in client.get("/api/about").json()["columns"]}
        assert (columns["entropy"]["least"], columns["entropy"]["most"]) == (0.5, 0.5)
        assert ask(client, "charts", view={}, columns=["entropy"]).json()["charts"]["entropy"] == [[0, 1]]


# Two runs


def test_rows_say_how_far_their_map_moved_and_bring_the_one_before(compared, output):
    client = client_of(compared)
    about = client.get("/api/about").json()
    distance, fate = about["moved"]["distance"], about["moved"]["fate"]
    view = {"sort": distance, "descending": True}
    found = ask(client, "rows", view=view, limit=50, columns=[distance, fate]).json()["rows"]
    moved = [row for row in found if row["target_name"] == "cat"]
    assert found[: len(moved)] == moved  # those whose maps were moved come first
    assert all(row[distance] > 0.3 for row in moved)
    assert {row[distance] for row in found[len(moved) :] if row["before"]} == {0.0}
    (new,) = [row for row in found if row["before"] is None]
    assert (new[fate], new[distance]) == ("new", None)
    for row in found:
        if row["before"]:
            assert (row["before"]["image_id"], row["before"]["target_index"]) == (row["image_id"], row["target_index"])
    assert client.get(f"/photos/before/small/{moved[0]['image_id']}").status_code == 200
    assert client.get(f"/photos/before/small/{new['image_id']}").status_code == 400


def test_columns_about_the_other_run_are_none_of_the_manifest(compared):
    assert compared.extra_columns == ["site"]
    assert {compared.columns[name].group for name in compared.moved.values()} == {"Since the other run"}


def test_a_manifest_may_have_a_column_of_our_name(tmp_path):
    write_two_runs(tmp_path / "out", per_class=1)
    for part in parts_of(tmp_path / "out"):
        change_part(part, with_column("before_distance", ["theirs"], pa.string()))
    with session_of(tmp_path / "out", "r2", "r1") as session:
        assert session.moved["distance"] == "before_distance_"
        assert session.records("SELECT DISTINCT before_distance AS x FROM statistics") == [{"x": "theirs"}]


# Tags


def test_tags_are_kept_beside_the_run_and_choose_rows(output, rows):
    with session_of(output) as session:
        client = client_of(session)
        images = [row["image_id"] for row in rows[:3]]
        answer = ask(client, "tag", view={"filters": [{"images": images}]}, tag="look", note="why <b>this</b>").json()
        assert answer == {"changed": 3, "tags": [{"tag": "look", "images": 3}]}
        ask(client, "tag", view={"filters": [{"images": images[:1]}]}, tag="other")
        found = ask(client, "rows", view={"filters": [{"tag": "look"}]}).json()["rows"]
        assert {row["image_id"] for row in found} == set(images)
        assert ask(client, "rows", view={"filters": [{"tag": None}]}).json()["total"] == len(rows) - 3
        shown = client.get(f"/api/image/{images[0]}").json()["tags"]
        assert [(tag["tag"], tag["note"]) for tag in shown] == [("look", "why <b>this</b>"), ("other", None)]
        answer = ask(client, "tag", view={"filters": [{"images": images[:2]}]}, tag="look", remove=True).json()
        assert answer == {"changed": 2, "tags": [{"tag": "look", "images": 1}, {"tag": "other", "images": 1}]}
    with session_of(output) as session:  # opened another time
        assert session.tags.counts() == [{"tag": "look", "images": 1}, {"tag": "other", "images": 1}]
        assert session.records("SELECT image_id FROM tags WHERE tag = 'look'") == [{"image_id": images[2]}]
    STORAGE.remove(f"{output}/runs/r1/tags.parquet")


def test_what_somebody_else_marked_meanwhile_stays(output, rows):
    with session_of(output) as one, session_of(output) as other:
        ask(client_of(one), "tag", view={"filters": [{"images": [rows[0]["image_id"]]}]}, tag="mine")
        ask(client_of(other), "tag", view={"filters": [{"images": [rows[1]["image_id"]]}]}, tag="yours")
        assert other.tags.counts() == [{"tag": "mine", "images": 1}, {"tag": "yours", "images": 1}]
    STORAGE.remove(f"{output}/runs/r1/tags.parquet")


def test_a_file_of_tags_that_is_none_is_refused_by_name(output):
    (output / "runs" / "r1" / "tags.parquet").write_bytes(b"not a table")
    try:
        with pytest.raises(Exception, match=r"tags\.parquet is not a file of tags"), session_of(output):
            pass
    finally:
        STORAGE.remove(f"{output}/runs/r1/tags.parquet")


def test_an_output_that_cannot_be_written_says_so_and_keeps_what_there_was(output, rows, monkeypatch):
    with session_of(output) as session:

        def full(*_args, **_options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(type(session.storage), "put", full)
        answer = ask(client_of(session), "tag", view={"filters": [{"images": [rows[0]["image_id"]]}]}, tag="look")
        assert answer.status_code == 400
        assert "tags.parquet cannot be written, so nothing is marked: [Errno 28] No space" in answer.json()["error"]
        assert session.tags.counts() == []


# Where to begin


def test_the_findings_of_the_report_and_slices_of_the_config_lead_to_their_rows(output, rows):
    corner = {"text": "<b>cats</b> look at the corner", "where": "target_name = 'cat'", "order": "border_lift DESC"}
    some = {"text": "two images", "where": None, "examples": [[rows[0]["image_id"], 0], [rows[1]["image_id"], 1]]}
    odd = [{"text": "x", "where": "true; DROP TABLE statistics"}, {"text": 3}, 5, {"text": "nothing to see"}]
    report = output / "runs" / "r1" / "report"
    report.mkdir()
    (report / "findings.json").write_text(json.dumps([corner, some, *odd]))
    with session_of(output) as session:
        sliced = dataclasses.replace(session, slices=["entropy < 0.9", ["site", "entropy < 0.9"], "aspect ratio"])
        client = client_of(sliced)
        about = client.get("/api/about").json()
        found = [entry for entry in about["entries"] if entry["kind"] == "finding"]
        assert [entry["title"] for entry in found] == [corner["text"], "two images", "x", "nothing to see"]
        assert found[0]["view"] == {"sql": "target_name = 'cat'", "sort": "border_lift", "descending": True}
        assert [entry["view"] for entry in found[2:]] == [None, None]
        cats = ask(client, "rows", view=found[0]["view"]).json()["total"]
        assert cats == sum(row["target_name"] == "cat" for row in rows)
        assert ask(client, "rows", view=found[1]["view"]).json()["total"] == 2
        assert about["slices"] == [{"sql": "entropy < 0.9"}, {"column": "site"}]
    for content in ("{", "[" * 100_000, "{}", "null"):
        (report / "findings.json").write_text(content)
        with session_of(output) as session:
            entries = client_of(session).get("/api/about").json()["entries"]
            assert not [entry for entry in entries if entry["kind"] == "finding"]
    shutil.rmtree(report)
