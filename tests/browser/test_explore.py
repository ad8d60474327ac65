"""The explorer in a real Chromium: what a person does, and what they see then."""

import csv
import io
import json
import urllib.parse

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browsing import PHONE, ready, served
from explored import session_of, write_two_runs
from synthetic import AUDIT_CARD
from tampering import change_part, parts_of, with_column

from benchmarks.explore import write_large_run
from transforms.overlays.render import color_table, heatmap_over

pytestmark = pytest.mark.browser
HOSTILE = '<img src=x onerror="document.title=1">"\'><script>document.title=2</script>\u202e'


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore") / "out"
    write_two_runs(folder)
    return folder


@pytest.fixture(scope="module")
def address(output):
    with served(output) as found:
        yield found


@pytest.fixture(scope="module")
def compared(output):
    with served(output, "r2", "r1") as found:
        yield found


@pytest.fixture(scope="module")
def rows(output):
    with session_of(output) as session:
        return session.table.records("SELECT * FROM statistics")


def cards(page):
    return [card.get_attribute("data-image") for card in page.locator("#grid .card").all()]


def state_of(page):
    return json.loads(urllib.parse.unquote(page.url.partition("#")[2]) or "{}")


def plot_of(page):
    """Where the axes of the scatter plot begin and end, in pixels of the page."""
    box = page.locator("#plot").bounding_box()
    return box["x"] + 54, box["y"] + 10, box["x"] + box["width"] - 12, box["y"] + box["height"] - 30


def test_the_page_shows_every_photo_with_its_map(open_page, address, rows):
    page = open_page(address)
    assert sorted(cards(page)) == sorted(row["image_id"] for row in rows)
    page.wait_for_function("document.querySelector('.card img').complete")
    assert page.locator(".card img").first.evaluate("image => image.naturalWidth") == 200
    assert "token" not in page.url
    assert page.title() == "r1 · beam-gradcam explore"


def test_the_browser_draws_the_map_as_the_job_does(open_page, address, rows):
    page = open_page(address, state="#" + urllib.parse.quote(json.dumps({"color": "jet"})))
    canvas = page.locator(".card canvas").first
    size = canvas.evaluate("canvas => [canvas.width, canvas.height]")
    drawn = canvas.evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    )
    drawn = np.array(drawn, np.uint8).reshape(size[1], size[0], 4)
    (row,) = [row for row in rows if row["image_id"] == cards(page)[0]]
    cam = np.array(row["cam"], np.float32).reshape(7, 7)
    _, _, heat = heatmap_over(cam, AUDIT_CARD.place(row["width"], row["height"]), *drawn.shape[:2])
    wanted = color_table("jet").reshape(256, 3)[np.rint(heat * 255).astype(int)]
    assert (drawn[..., 3] == 255).all()
    # A level of the 256 apart where rounding differs.
    assert np.abs(drawn[..., :3].astype(int) - wanted).max() <= 4
    assert canvas.evaluate("canvas => getComputedStyle(canvas).opacity") == "0.5"
    page.keyboard.press("o")
    assert canvas.evaluate("canvas => getComputedStyle(canvas).opacity") == "0"


def test_a_condition_in_sql_filters_and_a_wrong_one_is_explained(open_page, address, rows):
    page = open_page(address)
    page.keyboard.press("/")
    page.keyboard.type("NOT is_correct AND border_lift > 0.2")
    page.keyboard.press("Enter")
    ready(page)
    wanted = {row["image_id"] for row in rows if row["is_correct"] is False and row["border_lift"] > 0.2}
    assert set(cards(page)) == wanted != set()
    page.fill("#sql", "nonsense(")
    page.press("#sql", "Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert "is not one SQL condition" in page.text_content("#problem")


def test_dragging_over_a_histogram_filters_and_a_click_takes_it_back(open_page, address, rows):
    page = open_page(address)
    box = page.locator(".chart[data-column=border_lift] svg").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], y)
    page.mouse.move(box["x"] + box["width"] + 5, y)
    page.mouse.up()
    ready(page)
    (chosen,) = state_of(page)["filters"]
    values = [row["border_lift"] for row in rows]
    assert chosen["from"] == pytest.approx((min(values) + max(values)) / 2, rel=0.02)
    assert chosen["to"] is None  # at the end of the axis: all beyond too
    assert set(cards(page)) == {row["image_id"] for row in rows if row["border_lift"] >= chosen["from"]}
    assert f"of {len(rows)} rows" in page.text_content("#counts")
    page.locator(".chart[data-column=border_lift] svg").click(position={"x": 5, "y": 5})
    ready(page)
    assert len(cards(page)) == len(rows)


def test_a_value_a_class_and_a_place_to_begin_each_choose_rows(open_page, address, rows):
    page = open_page(address)
    page.click(".chart[data-column=site] .value:has-text('north')")
    ready(page)
    assert set(cards(page)) == {row["image_id"] for row in rows if row["site"] == "north"}
    page.click("#classes .value:has-text('rocket')")
    ready(page)
    both = [row for row in rows if row["site"] == "north" and row["target_name"] == "rocket"]
    assert set(cards(page)) == {row["image_id"] for row in both}
    page.click(".entry:has-text('Border lovers')")
    ready(page)
    assert cards(page) == [
        row["image_id"] for row in sorted(rows, key=lambda row: (-row["border_lift"], row["image_id"]))
    ]


def test_a_line_around_points_chooses_them_and_a_click_opens_one(open_page, address, rows):
    asked = {"scatter": {"x": "centroid_x", "y": "centroid_y"}}
    page = open_page(address, state="#" + urllib.parse.quote(json.dumps(asked)))
    left, top, right, bottom = plot_of(page)
    middle = (left + right) / 2
    page.mouse.move(left - 2, top - 2)
    page.mouse.down()
    for x, y in ((middle, top - 2), (middle, bottom + 2), (left - 2, bottom + 2), (left - 2, top)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    ready(page)
    values = [row["centroid_x"] for row in rows]
    half = (min(values) + max(values)) / 2
    assert set(cards(page)) == {row["image_id"] for row in rows if row["centroid_x"] < half}
    first = min((row for row in rows), key=lambda row: row["centroid_x"])
    down = [row["centroid_y"] for row in rows]
    share = (first["centroid_y"] - min(down)) / (max(down) - min(down))
    left, top, _, bottom = plot_of(page)  # the filter's line has moved it down
    page.mouse.click(left, bottom - share * (bottom - top))
    page.wait_for_selector("#lightbox[open] img")
    assert state_of(page)["open"]["image"] == first["image_id"]


def test_the_lightbox_has_the_numbers_and_goes_on_with_the_arrows(open_page, address, rows):
    page = open_page(address)
    ids = cards(page)
    page.locator(".card").nth(2).click()
    page.wait_for_selector("#lightbox[open] img")
    (row,) = [row for row in rows if row["image_id"] == ids[2]]
    shown = page.text_content("#lightbox")
    assert row["uri"].rpartition("/")[2] in shown
    assert f"entropy{row['entropy']:.3g}" in shown
    page.keyboard.press("ArrowRight")
    page.wait_for_function("id => location.hash.includes(id)", arg=ids[3])
    page.keyboard.press("Escape")
    page.wait_for_selector("#lightbox", state="hidden")
    assert "open" not in state_of(page)


def test_two_runs_are_side_by_side_the_map_that_moved_most_first(open_page, compared, output):
    page = open_page(compared)
    page.click(".entry:has-text('Maps that moved most')")
    ready(page)
    first = page.locator(".card").first
    assert first.locator("canvas").count() == 2
    assert "cat" in first.text_content()
    assert "moved 0." in first.text_content()
    assert "moved 0.000" in page.locator(".card:has(b:text-is('cup'))").first.text_content()
    drawn = [canvas.evaluate("canvas => canvas.toDataURL()") for canvas in first.locator("canvas").all()]
    assert drawn[0] != drawn[1]
    page.select_option("#mode", "signed")
    assert first.locator("canvas").nth(1).evaluate("canvas => canvas.toDataURL()") != drawn[1]
    page.click(".chart[data-column=before_fate] .value:has-text('new')")
    ready(page)
    assert "not in the other run" in page.locator("#grid").text_content()
    assert len(cards(page)) == 1


def test_tags_are_written_shown_and_exported(open_page, address, output):
    page = open_page(address)
    chosen = cards(page)[:2]
    page.locator(".card").nth(0).click(modifiers=["Shift"])
    page.locator(".card").nth(1).focus()
    page.keyboard.press("x")
    assert "2 chosen" in page.text_content("#selected")
    page.fill("#tag", "look again")
    page.fill("#note", "the corner?")
    page.press("#note", "Enter")
    page.wait_for_selector("#tags .value:has-text('look again')")
    ready(page)
    stored = pq.read_table(output / "runs" / "r1" / "tags.parquet").to_pylist()
    assert {(row["image_id"], row["tag"], row["note"]) for row in stored} == {
        (image, "look again", "the corner?") for image in chosen
    }
    page.click("#choose-none")
    page.click("#tags .value:has-text('look again')")
    ready(page)
    assert set(cards(page)) == set(chosen)
    with page.expect_download() as download:
        page.select_option("#export", "manifest")
    assert download.value.suggested_filename == "manifest.csv"
    lines = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(lines) == 2
    assert {line["tags"] for line in lines} == {"look again"}
    page.fill("#tag", "look again")
    page.select_option("#tag-scope", "all")
    page.click("#untag")
    page.wait_for_selector("#tags:has-text('none yet')")
    assert pq.read_table(output / "runs" / "r1" / "tags.parquet").num_rows == 0


def test_a_link_shows_the_same_view_again(open_page, address):
    page = open_page(address)
    page.click(".chart[data-column=site] .value:has-text('south')")
    page.select_option("#sort", "entropy")
    page.select_option("#color", "magma")
    ready(page)
    page.locator(".card").first.click()
    page.wait_for_selector("#lightbox[open] img")
    again = open_page(address, state="#" + page.url.partition("#")[2])
    again.wait_for_selector("#lightbox[open] img")
    assert cards(again) == cards(page)
    assert again.text_content("#lightbox h2") == page.text_content("#lightbox h2")
    assert again.input_value("#color") == "magma"


@pytest.mark.parametrize(
    "link", ["#%", "#{", "#[]", '#{"filters":3,"scatter":5}', '#{"filters":[{"lasso":5}],"size":1e9}', "#null"]
)
def test_a_damaged_link_shows_everything(open_page, address, rows, link):
    assert len(cards(open_page(address, state=link))) == len(rows)


def test_names_of_strangers_are_text(open_page, tmp_path):
    write_two_runs(tmp_path / "out", per_class=1)
    for part in parts_of(tmp_path / "out"):
        for column in ("predicted_name", "target_name", "site", "uri"):
            change_part(part, with_column(column, [HOSTILE]))
        change_part(part, with_column(HOSTILE, [HOSTILE, "b"], pa.string()))
    with served(tmp_path / "out", "r2", "r1") as address:
        page = open_page(address, state="#" + urllib.parse.quote(json.dumps({"charts": [HOSTILE], "sort": HOSTILE})))
        page.locator(".card").first.click()
        page.wait_for_selector("#lightbox[open]")
        page.wait_for_selector(".photo.lost")
        assert page.title() == "r2 · beam-gradcam explore"
        assert page.locator("img[src=x], #body script").count() == 0
        assert HOSTILE in page.text_content("#lightbox")
        assert HOSTILE in page.text_content("#classes")
        page.keyboard.press("Escape")
        page.click(".chart .value:has-text('onerror')")
        ready(page)
        assert page.locator(".chip").count() == 1
        page.close()  # it may still ask for a histogram when the server is gone


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "light"), (PHONE, "dark"), (None, "dark")])
def test_nothing_sticks_out_on_a_phone_and_in_the_dark(open_page, address, size, scheme):
    page = open_page(address, scheme=scheme, **({"size": size} if size else {}))
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= page.viewport_size["width"]
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(23, 24, 26)") == (scheme == "dark")
    if size:
        assert not page.is_visible("#side")
        page.click("#open-side")
        assert page.is_visible("#side")


def test_a_million_rows(open_page, tmp_path):
    write_large_run(tmp_path / "out", 1_000_000)
    with served(tmp_path / "out", "large") as address:
        page = open_page(address)
        assert "1\u202f000\u202f000 rows" in page.text_content("#counts")
        assert len(cards(page)) == 48
        page.fill("#sql", "border_lift BETWEEN 0.5 AND 1.5 AND NOT is_correct")
        page.press("#sql", "Enter")
        ready(page)
        table = pq.read_table(tmp_path / "out" / "statistics", columns=["border_lift", "is_correct"], partitioning=None)
        lift, correct = (table[name].to_numpy(zero_copy_only=False) for name in ("border_lift", "is_correct"))
        wanted = int(((lift >= 0.5) & (lift <= 1.5) & ~correct).sum())
        assert page.text_content("#counts").startswith(f"{wanted:,}".replace(",", "\u202f"))
        page.select_option("#sort", "entropy")
        ready(page)
        page.click("#next")
        ready(page)
        assert page.text_content("#place").startswith("49 to 96")
        page.close()  # before the server
