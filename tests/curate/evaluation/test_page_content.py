"""The page of an evaluation: wins, then losses, then the rest, whole and in any window."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from invdpo.curate.evaluation.page_content import EQUAL, LOST, MOST, UNJUDGED, WON, page_of
from invdpo.curate.evaluation.results import ALL_RIGHT, Outcome, Result, evaluate_results
from invdpo.curate.report.evaluation_page import write_evaluation_page
from tests.page_checks import CONTRAST, HIDDEN, UNSEEN, WIDER

if TYPE_CHECKING:
    from playwright.sync_api import Page

EVIL = "<script>document.title = 'taken'</script>"


def outcome(right: float | None) -> Outcome:
    if right is None:
        return Outcome(None, 1, {}, ("refused",), {"clip": "refused"})
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    figures = {"composition": right, ALL_RIGHT: right, "clip": 0.5}
    return Outcome(file.getvalue(), 1, figures, () if right else (f"no {EVIL}",))


def results(*rights: tuple[float | None, float | None]) -> tuple[Result, ...]:
    return tuple(
        Result(f"p{n}", f"prompt {n} {EVIL}", outcome(base), outcome(tuned), "color")
        for n, (base, tuned) in enumerate(rights)
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, of which the first lost, won, was equal, and was not judged."""
    first = results((1, 0), (0, 1), (1, 1), (1, None))
    found = [evaluate_results(r, [], ["A note."], t) for r, t in ((first, "t"), (first[:2], "u"))]
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_evaluation_page(page_of("work", "lab/base", found, "clip"), path)
    return path


def test_models_are_named_without_the_folders_of_this_machine(tmp_path: Path) -> None:
    found = evaluate_results(results((1, 0)), [], [], str(tmp_path / "tuned"))
    page = page_of("work", str(tmp_path / "base"), [found], None)
    assert (page.base, page.models[0].tuned) == ("base", "tuned")


def test_wins_and_losses_come_first(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    first, second = text.split('<section id="model-')[1:]
    assert re.findall(r'kind">([\w ]+): (\d)', first) == [
        (WON, "1"),
        (LOST, "1"),
        (EQUAL, "1"),
        (UNJUDGED, "1"),
    ]
    assert re.findall(r"prompt (\d) &lt;", first) == ["1", "0", "2", "3"]
    assert re.findall(r'kind">([\w ]+): (\d)', second) == [(WON, "1"), (LOST, "1")]
    assert "base: lab/base, tuned: u" in second
    assert "By category" in first
    assert re.findall(r"(\w+) <strong class=\"held-out\">held out", first)[0] == "clip"
    assert "A note." in text
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", text)


def test_lines_of_colour_are_explained_where_facts_were_judged(
    written: Path, tmp_path: Path
) -> None:
    scored = Outcome(None, 1, {"clip": 0.5}, ())
    one = Result("p", "prompt", scored, scored)
    path = tmp_path / "index.html"
    write_evaluation_page(page_of("w", "b", [evaluate_results((one,), [], [], "t")], "clip"), path)
    assert "Blue line" in written.read_text(encoding="utf-8")
    assert "Blue line" not in path.read_text(encoding="utf-8")


def test_many_results_leave_room_for_each_group() -> None:
    rights = [(0, 1)] * 200 + [(1, 0)] * 200 + [(1, 1)] * 50
    page = page_of("work", "b", [evaluate_results(results(*rights), [], [], "t")], None)
    shown = {group.title: (group.count, len(group.cards)) for group in page.models[0].groups}
    third = MOST // 3
    assert shown == {WON: (200, third), LOST: (200, third), EQUAL: (50, third), UNJUDGED: (0, 0)}


def test_it_fits_a_telephone(page: Page, written: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(written.as_uri())
        assert page.title() == "Evaluation work"
        assert [page.evaluate(count) for count in (UNSEEN, WIDER, HIDDEN)] == [0, 0, 0]
        texts = "p, dt, dd, th, td, a, h1, h2, h3, li, .which, .held-out"
        assert page.evaluate(CONTRAST, texts) >= 4.5
