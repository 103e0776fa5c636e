"""The page in a real browser: it asks for nothing, shows every image, and fits any screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from invdpo.curate import steps
from invdpo.curate.report.build import write_report
from invdpo.curate.report.sets import write_comparison
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.pair import PairConfig
from tests.curate.report.report_workspaces import workspace
from tests.page_checks import HIDDEN, WIDER, check_fit, check_plots

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROMPTS = (
    "a red circle to the left of a blue square",
    "دائرة حمراء إلى يسار مربع أزرق",
    "<script>document.title = 'taken'</script><style>body{display:none}</style>",
    "Donaudampfschifffahrtsgesellschaft" * 30,
    "word " * 5_000,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    ws = workspace(tmp_path_factory.mktemp("report") / "work", PROMPTS, size=(200, 120))
    return write_report(ws, "shapes").page.as_uri()


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> str:
    ws = workspace(tmp_path_factory.mktemp("sets") / "work", PROMPTS)
    small = Config(pair=PairConfig(min_margin=0, target_pairs=2))
    steps.pair(Workspace(ws.root, "small"), small, RunOptions())
    return write_comparison(ws)[0].as_uri()


@pytest.mark.parametrize("width", [320, 400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_whole(page: Page, report: str, width: int, scheme: str) -> None:
    texts = "p, dt, dd, th, td, a, h1, h2, h3, h4, li, .badge, .which"
    check_fit(page, report, (width, 900), scheme, texts)
    assert page.title() == "Pairs of work"
    assert page.evaluate("document.images.length") >= 4


def test_plots_are_readable_on_a_phone(page: Page, report: str) -> None:
    check_plots(page, report, 5)


@pytest.mark.parametrize("width", [390, 1280])
def test_sets_are_compared(page: Page, compared: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(compared)
    assert page.evaluate(WIDER) == page.evaluate(HIDDEN) == 0
    sections = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert sections == ["Pairs and margins", "Options", "Scorers", "Overlap", "Strata"]
    for link in page.get_by_role("navigation").get_by_role("link").all():
        section = page.locator(str(link.get_attribute("href")))
        assert section.get_by_role("heading", level=2).is_visible()
        assert section.get_by_role("table").first.is_visible()
    rows = page.locator("#pairs tbody tr").all_inner_texts()
    assert [row.split()[:3] for row in rows] == [["(no", "name)", "5"], ["small", "2", "2"]]
    assert "target_pairs" in page.locator("#options").inner_text()
    same = page.get_by_role("region", name="The same pair", exact=True).locator("td.num")
    assert same.all_inner_texts() == ["5", "2", "2", "2"]
    wide = page.locator("#pairs .scroll")
    wide.focus()
    page.keyboard.press("End")  # what is too wide is reached by keys
    assert wide.evaluate("all => all.scrollWidth > all.clientWidth") == (width == 390)


def test_it_needs_no_script(page: Page, report: str) -> None:
    context = page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    plain = context.new_page()
    plain.goto(report)
    assert plain.get_by_role("heading", name="Provenance").is_visible()
    assert plain.locator("article").first.is_visible()
    context.close()


def test_prompts_are_shown_as_they_are(page: Page, report: str) -> None:
    page.goto(report)
    shown = page.locator(".prompt").all_inner_texts()
    assert PROMPTS[2] in shown
    arabic = page.locator(".prompt", has_text="دائرة").first
    assert arabic.evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_boxes_lie_on_the_picture(page: Page, report: str) -> None:
    """An image of 200×120 in a square frame stands in its middle; so must its boxes."""
    page.goto(report)
    frame = page.locator(".chosen .frame").first.bounding_box()
    box = page.locator(".chosen .frame rect.line").first.bounding_box()
    assert frame is not None
    assert box is not None
    side = frame["width"]
    inner = frame["height"] - 3  # the coloured edge on top
    scale = min(side / 200, inner / 120)
    top = frame["y"] + 3 + (inner - 120 * scale) / 2
    assert box["x"] == pytest.approx(frame["x"] + 0.1 * 200 * scale, abs=2)
    assert box["y"] == pytest.approx(top + 0.2 * 120 * scale, abs=2)
    assert box["width"] == pytest.approx(0.3 * 200 * scale, abs=4)


def test_it_prints(page: Page, report: str) -> None:
    page.goto(report)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("nav").is_hidden()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")
