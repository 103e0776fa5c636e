"""What every page must pass in a real browser: it fits the screen, is whole, and can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invdpo.curate.report.plots.theme import DPI

if TYPE_CHECKING:
    from playwright.sync_api import Page

UNSEEN = "[...document.images].filter(image => image.naturalWidth === 0).length"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
HIDDEN = """[...document.querySelectorAll('main *')].filter(element => {
    const box = element.getBoundingClientRect()
    return box.right > innerWidth + 1 && !element.closest('.scroll, .hidden, svg')
}).length"""
"""Elements that stick out to the right, where nothing scrolls."""
CONTRAST = """selector => {
    const numbers = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number)
    const light = colour => numbers(colour)
        .map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0)
    const ground = element => {
        const found = getComputedStyle(element).backgroundColor
        return found.endsWith(', 0)') ? ground(element.parentElement) : found
    }
    return Math.min(...[...document.querySelectorAll(selector)].map(element => {
        const pair = [light(getComputedStyle(element).color), light(ground(element))].sort()
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)
    }))
}"""
"""The least contrast of the text of elements to what lies behind them."""


def check_fit(page: Page, url: str, size: tuple[int, int], scheme: str, texts: str) -> None:
    """A page of its own files alone that is whole, as wide as the screen, and can be read.

    `size` in pixels; `texts` are the selectors of elements whose contrast is measured.
    """
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(url)
    assert [one for one in asked if not one.startswith("data:")] == [url]
    assert page.evaluate(UNSEEN) == 0
    assert page.evaluate(WIDER) == 0
    assert page.evaluate(HIDDEN) == 0
    assert page.evaluate(CONTRAST, texts) >= 4.5


def check_plots(page: Page, url: str, least: int) -> None:
    """On a phone the least text is 7.5 points high, a point being `DPI` / 72 pixels of the file.

    `least`: how many plots the page has at least.
    """
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(url)
    scales = page.locator(".plot img").evaluate_all("all => all.map(i => i.width / i.naturalWidth)")
    assert len(scales) >= least
    assert min(scales) * 7.5 * DPI / 72 >= 9
