"""Neighbours in the explorer, in a real Chromium: from an entry to a photo, to those most like it, to the plane."""

from pathlib import Path

import pytest
from browsing import PHONE, WIDE, ready, served
from explored import STORAGE
from planted import COPIED, planted_run

from pipeline.audit.neighbours.write import write_neighbours
from pipeline.runs.record import run_at

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = planted_run(tmp_path_factory.mktemp("near"))
    write_neighbours(run_at(str(folder), STORAGE), STORAGE, lambda line: None)
    with served(Path(folder).parent.parent) as found:
        yield found


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_from_a_leaking_photo_to_its_copy_and_back(open_page, address, size):
    page = open_page(address, size=size)
    page.evaluate("[...document.querySelectorAll('.entry')].find(e => e.textContent.startsWith('In several')).click()")
    ready(page)
    assert page.locator("#grid .card").count() == 6
    page.locator("#grid .card .photo").first.click()
    page.wait_for_selector("#lightbox .neighbour")
    copies = {f"{name}.jpg": f"{copy}.jpg" for name, copy in COPIED.items()}
    copies |= {copy: name for name, copy in copies.items()}
    shown = page.locator("#lightbox h2").inner_text()
    titles = page.locator("#lightbox .near").first.locator(".neighbour img").all()
    assert [title.get_attribute("alt") for title in titles] == [copies[shown]]
    assert page.locator("#lightbox .near").nth(1).locator(".neighbour").count() == 10
    page.locator("#lightbox .neighbour").first.click()
    page.wait_for_function("name => document.querySelector('#lightbox h2').innerText === name", arg=copies[shown])


def test_the_scatter_begins_with_the_plane_of_the_embedding(open_page, address):
    page = open_page(address)
    page.locator("#open-scatter").click()
    ready(page)
    assert page.locator("#scatter-x").input_value() == "emb_x"
    assert page.locator("#scatter-y").input_value() == "emb_y"
