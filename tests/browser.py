"""A real browser for tests of pages: one that is there, headless, and cut off from all networks.

`page` is a Playwright page. What it asks of any host but this machine is refused, and a test fails
when a page tried it, or when a script of the page failed or wrote an error to the console.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "chrome",
)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HERE = ("127.0.0.1", "localhost", "[::1]")
LOCAL = ("file:", "data:", "blob:", "about:", *(f"http://{host}" for host in HERE))
PATIENCE = 240_000
"""Milliseconds until a test gives up, on a machine however busy."""


def browser_path() -> str | None:
    """The browser to drive: `INVDPO_BROWSER`, or the first one found; None without any."""
    return os.environ.get("INVDPO_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser, started once a file of tests.

    Without any the test is skipped, or fails where `INVDPO_NEED_BROWSER=1` says that one is there.
    """
    path = browser_path()
    if path is None:
        reason = f"no browser: none of {', '.join(NAMES)} is there, nor is INVDPO_BROWSER set"
        if os.environ.get("INVDPO_NEED_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(QUIET), timeout=PATIENCE)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1280×800 in a context of its own; see the module for what makes a test fail."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    strangers: list[str] = []
    errors: list[str] = []

    def pass_on(route: Route) -> None:
        if route.request.url.startswith(LOCAL):
            route.continue_()
        else:
            strangers.append(route.request.url)
            route.abort()

    context.route("**/*", pass_on)
    found = context.new_page()
    found.set_default_timeout(PATIENCE)
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield found
    context.close()
    assert strangers == [], "the page asked for something of the network"
    assert errors == [], "a script of the page failed"
