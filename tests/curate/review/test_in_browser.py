"""The review in a real browser, by keys and by clicks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from invdpo.curate.review.session import Session
from tests.curate.review.sessions import chosen_position, opposite, serving, session, table

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
PLACED = "() => [...document.querySelectorAll('.picture')].every(place => place.style.aspectRatio)"
"""Both images have come and taken their places."""


@dataclass(frozen=True)
class Shown:
    """A page that shows a review."""

    page: Page
    session: Session
    work: Path

    def decisions(self) -> list[str]:
        return [row["decision"] for row in table(self.work)]

    def at(self, number: int) -> None:
        """Wait until the page shows a pair."""
        self.page.wait_for_function("n => view.number === n && !view.busy", arg=number)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.page.wait_for_function("() => !view.busy")


@contextmanager
def showing(page: Page, review: Session) -> Iterator[None]:
    """The page of a review, left before its server ends: it may still be asking for images."""
    with serving(review) as server:
        page.goto(server.url)
        page.wait_for_selector("#main:not([hidden])")
        page.wait_for_function(PLACED)
        yield
        page.goto("about:blank")


@pytest.fixture
def shown(work: Path, page: Page) -> Iterator[Shown]:
    review = session(work)
    with showing(page, review):
        yield Shown(page, review, work)


def test_by_keys_alone(shown: Shown) -> None:
    page, review = shown.page, shown.session
    assert page.inner_text("#prompt") == review.pairs.record(0)["prompt"]
    assert "0 of 6 decided" in page.inner_text("#place")
    shown.press("ArrowLeft")
    shown.at(1)
    shown.press("ArrowRight")
    shown.at(2)
    shown.press("d")
    shown.at(3)
    first = "keep" if chosen_position(review, 0) == "left" else "flip"
    second = "keep" if chosen_position(review, 1) == "right" else "flip"
    assert shown.decisions() == [first, second, "drop"]
    assert "3 of 6 decided" in page.inner_text("#place")
    assert "Dropped: pair 3" in page.inner_text("#status")
    shown.press("u")
    shown.at(2)
    assert shown.decisions() == [first, second]
    shown.press(" ")
    shown.at(3)
    assert shown.decisions() == [first, second]
    shown.press("p")
    shown.at(2)


def test_images_are_enlarged_and_called_equal(shown: Shown) -> None:
    """The enlarged image fills a phone, its arrows decide nothing, and Escape gives back focus."""
    page, large = shown.page, shown.page.locator("#zoom-image")
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#left .enlarge").focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#zoom-title") == large.get_attribute("alt") == "Left image"
    box = large.bounding_box()
    assert box
    assert box["width"] > 360
    shown.press("ArrowRight", "e")
    assert page.inner_text("#zoom-title") == "Right image"
    assert str(large.get_attribute("src")).endswith("image/0/right")
    page.keyboard.press("Escape")
    assert not page.is_visible("#zoom")
    assert page.evaluate("document.activeElement.dataset.act") == "zoom-left"
    page.click("#right img")
    assert page.inner_text("#zoom-title") == "Right image"
    large.click()
    assert not page.is_visible("#zoom")
    assert shown.decisions() == []
    shown.press("e")
    shown.at(1)
    assert shown.decisions() == ["equal"]
    assert "Equally good: pair 1" in page.inner_text("#status")


def test_scores_and_sides_are_hidden_until_a_decision(shown: Shown) -> None:
    page, review = shown.page, shown.session
    assert not page.is_visible("#scores")
    assert page.inner_text("#left .role") == page.inner_text("#right .role") == ""
    assert page.locator(".box").count() == 0
    assert page.locator(".mark:visible").count() == 0
    shown.press("k")
    assert "Press R first" in page.inner_text("#status")
    assert shown.decisions() == []
    shown.press("r")
    side = chosen_position(review, 0)
    assert page.inner_text(f"#{side} .role") == "chosen"
    assert page.inner_text(f"#{opposite(side)} .role") == "rejected"
    assert page.locator("#scores tbody tr").count() == 2
    assert page.locator("#left .box").count() == 1
    marks = page.locator("#facts tbody td").all_inner_texts()
    assert {"✓ yes", "✗ no"} == set(marks)
    shown.press("b")
    assert page.locator(".box:visible").count() == 0
    shown.press("f")
    shown.at(1)
    assert shown.decisions() == ["flip"]
    assert not page.is_visible("#scores")
    shown.press("p")
    shown.at(0)
    assert page.is_visible("#scores")
    assert page.inner_text(f"#{opposite(side)} .mine") == "✓ your choice"


def test_boxes_lie_on_what_they_mark(shown: Shown) -> None:
    """A box of fractions x0, y0, x1, y1 covers that part of the image as it is shown."""
    shown.press("r")
    answer = shown.session.answer(0)
    for side in ("left", "right"):
        picture = shown.page.locator(f"#{side} img").bounding_box()
        drawn = shown.page.locator(f"#{side} .box").bounding_box()
        assert picture
        assert drawn
        x0, _, x1, y1 = answer[side]["boxes"][0]["box"]
        assert picture["height"] > 300
        assert drawn["x"] == pytest.approx(picture["x"] + x0 * picture["width"], abs=1.5)
        assert drawn["width"] == pytest.approx((x1 - x0) * picture["width"], abs=1.5)
        end = drawn["y"] + drawn["height"]
        assert end == pytest.approx(picture["y"] + y1 * picture["height"], abs=1.5)


def test_by_clicks_with_a_note(shown: Shown) -> None:
    page = shown.page
    page.fill("#note", "left one is blurred")
    page.click("text=Right is better")
    shown.at(1)
    assert page.input_value("#note") == ""
    page.click("button.drop")
    shown.at(2)
    assert [row["note"] for row in table(shown.work)] == ["left one is blurred", None]
    page.click("[data-act=undo]")
    shown.at(1)
    assert len(shown.decisions()) == 1


def test_keys_in_a_note_are_letters(shown: Shown) -> None:
    page = shown.page
    shown.press("n")
    page.keyboard.type("dud, u r")
    page.keyboard.press("Enter")
    assert shown.decisions() == []
    assert page.input_value("#note") == "dud, u r"
    shown.press("d")
    shown.at(1)
    assert [row["note"] for row in table(shown.work)] == ["dud, u r"]


def test_single_keys_can_be_turned_off(shown: Shown) -> None:
    page = shown.page
    shown.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("d")
    page.uncheck("#keys")
    page.check("#stay")
    page.click("#help button")
    shown.press("d")
    assert shown.decisions() == []
    page.click("text=Left is better")
    page.wait_for_selector("#scores:visible")
    assert page.inner_text("#left .mine") == "✓ your choice"
    assert len(shown.decisions()) == 1


def test_a_review_goes_on_and_ends(shown: Shown) -> None:
    page = shown.page
    shown.press("d", "d", "d")
    shown.at(3)
    page.reload()
    shown.at(3)
    assert "3 of 6 decided" in page.inner_text("#place")
    shown.press(" ", "d", "d")
    shown.at(3)  # the one that was skipped
    shown.press("d")
    page.wait_for_selector("#end:not([hidden])")
    assert page.inner_text("#end-counts") == "0 kept, 0 flipped, 0 equal, 6 dropped."
    page.click("#end >> text=Finish")
    page.wait_for_selector("#gone:not([hidden])")
    assert shown.decisions() == ["drop"] * 6


def test_a_prompt_is_text_whatever_is_in_it(work: Path, page: Page) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in (work / "dataset/data").glob("*.parquet"):
        rows = [row | {"prompt": HOSTILE} for row in pq.read_table(path).to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path)
    with showing(page, session(work)):
        assert page.inner_text("#prompt") == HOSTILE
        assert page.title() == "Review: work"


def test_everything_can_be_reached_and_has_a_name(shown: Shown) -> None:
    page = shown.page
    names = page.locator("button:visible, input:visible").evaluate_all(
        "all => all.map(e => (e.labels?.[0] ?? e).textContent.trim())"
    )
    assert all(names)
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("main:visible h1").count() == 1
    for width in (360, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"scrolls sideways at {width}"


def test_a_server_that_has_gone(work: Path, page: Page) -> None:
    with showing(page, session(work)):
        page.evaluate("void (window.fetch = async () => { throw new TypeError('gone') })")
        page.keyboard.press("d")
        page.wait_for_selector("#gone:not([hidden])")
        assert "Start the command again" in page.inner_text("#gone-text")
