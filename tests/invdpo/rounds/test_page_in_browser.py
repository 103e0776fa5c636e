"""The page of the rounds in a real browser: it fits any screen, and every image is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from invdpo.rounds.page import write_report
from tests.invdpo.rounds.recorded import ODD, draw, improvement, results
from tests.page_checks import check_fit, check_plots

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROUNDS = 8


@pytest.fixture(scope="module")
def rounds_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("rounds") / "improved"
    root.mkdir()
    base, tuned, _ = results()
    later = (replace(tuned, number=n, model=f"round-{n:03d}/tuned") for n in range(1, ROUNDS + 1))
    models = (base, *later)
    draw(root, models)
    return write_report(improvement(root, models=models)).as_uri()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rounds_fit_and_are_whole(page: Page, rounds_page: str, width: int, scheme: str) -> None:
    check_fit(
        page, rounds_page, (width, 844), scheme, "p, dt, dd, th, td, a, h1, h2, figcaption, .muted"
    )
    assert page.title() == "Rounds of improved"


def test_sections_tables_and_strips_are_seen(page: Page, rounds_page: str) -> None:
    """Four prompts; of the last one no model has an image."""
    page.goto(rounds_page)
    links = page.get_by_role("navigation").get_by_role("link")
    assert links.all_inner_texts() == ["Figures", "Facts", "Pixels", "Pairs and cost", "Images"]
    for link in links.all():
        section = page.locator(str(link.get_attribute("href")))
        assert section.get_by_role("heading", level=2).is_visible()
    assert len(page.locator("#figures tbody tr").all()) == 1 + ROUNDS
    assert page.locator(".strip .prompt").first.inner_text() == ODD
    images = page.locator(".strip img")
    assert images.count() == 3 * (1 + ROUNDS)
    assert all(image.is_visible() for image in images.all())


def test_curves_are_readable_on_a_phone(page: Page, rounds_page: str) -> None:
    check_plots(page, rounds_page, 3)
