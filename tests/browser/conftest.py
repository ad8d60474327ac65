"""Pages in a real Chromium; `tests/browser/setup.sh` brings it."""

import os
import shutil

import pytest
from browsing import PHONE, WIDE, ready


@pytest.fixture(scope="session")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="run tests/browser/setup.sh")
    path = shutil.which(os.environ.get("BEAM_GRADCAM_CHROMIUM", "chromium"))
    if path is None:
        pytest.skip("no chromium: run tests/browser/setup.sh")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Opens an address, and fails where the page has errors or asks another machine for anything."""
    contexts, wrong = [], []

    def noted(message):
        if message.type == "error" and "status of 400" not in message.text:  # refusals: the page says them itself
            wrong.append(message.text)

    def opened(address, size=WIDE, scheme="light", state=""):
        context = chromium.new_context(
            viewport=size, color_scheme=scheme, accept_downloads=True, has_touch=size is PHONE
        )
        contexts.append(context)
        page = context.new_page()
        own = address.partition("/?")[0]
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", noted)
        page.on(
            "request", lambda asked: None if asked.url.startswith((own, "data:", "blob:")) else wrong.append(asked.url)
        )
        page.goto(address + state)
        ready(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
