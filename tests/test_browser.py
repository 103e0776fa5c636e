"""The browser of the tests: it runs scripts, and tells on pages that reach out or fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import browser as browsers

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
TEST = "def test_it(page): page.set_content({!r})\n"


def test_a_page_runs_its_scripts(page: Page) -> None:
    page.set_content("<p>before</p><script>document.querySelector('p').append('!')</script>")
    assert page.inner_text("p") == "before!"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<img src='http://192.0.2.1/x.png'>", "asked for something of the network"),
        ("<script>throw new Error('broken')</script>", "a script of the page failed"),
    ],
)
def test_a_page_that_misbehaves_fails_its_test(
    browser: object, tmp_path: Path, html: str, expected: str
) -> None:
    (tmp_path / "conftest.py").write_text("from tests.browser import browser, page\n")
    (tmp_path / "test_it.py").write_text(TEST.format(html))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            tmp_path / "test_it.py",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 1
    assert expected in done.stdout


def test_which_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("INVDPO_BROWSER", raising=False)
    assert browsers.browser_path() is None
    monkeypatch.setenv("INVDPO_BROWSER", "/opt/other")
    assert browsers.browser_path() == "/opt/other"
