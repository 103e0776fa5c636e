"""The page of the rounds: its figures, its JSON and its images, from a record made by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from invdpo.curate.report import rounds
from invdpo.rounds.page import read_improvement, write_report
from invdpo.rounds.record import Record
from invdpo.rounds.round_plan import RoundPlan
from invdpo.rounds.run import _keep
from invdpo.schemas import DataError, WorkspaceError
from tests.invdpo.rounds.recorded import (
    CONFIG,
    ODD,
    draw,
    guided_results,
    improvement,
    results,
    stored,
)
from tests.workspaces import png


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rounds with its page, whose plots are noise."""
    root = tmp_path_factory.mktemp("rounds") / "my <rounds>"
    root.mkdir()
    draw(root)
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(rounds, "draw_curve", lambda *_: (png(1), png(2)))
        assert write_report(improvement(root)) == root / "report" / "index.html"
    return root


def test_a_model_without_the_main_figure_is_named_with_the_reasons(tmp_path: Path) -> None:
    draw(tmp_path)
    base = results()[0]
    bare = replace(base, judgement={**base.judgement, "figures": {}})
    said = (
        r"base/scores/composition: composition_all_right, by which rounds are compared, has no "
        r"value for the base model: it was found for none of 8 validation images "
        r"\(1 x one single colour\)\. Choose scorers and annotators"
    )
    with pytest.raises(DataError, match=said):
        _keep(RoundPlan(tmp_path, CONFIG), Record({}), bare)
    assert not (tmp_path / "rounds.json").exists()
    Record({}, (base, replace(bare, number=1))).write(tmp_path)
    with pytest.raises(DataError, match=r"the model of round 1.*See .*round-001/tuned/curves"):
        read_improvement(tmp_path, CONFIG)


@pytest.fixture
def html(root: Path) -> str:
    return (root / "report" / "index.html").read_text(encoding="utf-8")


def table(html: str, name: str) -> list[list[str]]:
    """The cells of a section's table, row by row."""
    (section,) = re.findall(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)
    return [
        [unescape(re.sub("<.*?>", "", c)) for c in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in rows
    ]


def test_figures_with_their_intervals_and_a_dash_for_what_is_missing(html: str) -> None:
    """0, 0, 1, 0 have the mean 1/4 and the variance 1/4, so the half width 1.96 / 4; a share's
    interval ends at 0 and 1.
    """
    assert table(html, "figures") == [
        ["round", "composition all right", "clip", "gain", "diversity"],
        ["base", "0.250 [0.000, 0.740]", "0.250 [0.250, 0.250]", "–", "0.400"],
        ["1", "0.625 [0.156, 1.000]", "0.375 [0.375, 0.375]", "+0.375 [−0.094, +0.844]", "0.375"],
        ["2", "0.375 [0.000, 0.844]", "0.500 [0.500, 0.500]", "+0.125 [−0.120, +0.370]", "–"],
    ]


def test_the_guidance_at_which_each_model_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its figures and its images are those of that guidance; one prompt has no usable image."""
    draw(tmp_path, guided_results())
    monkeypatch.setattr(rounds, "draw_curve", lambda *_: (png(1), png(2)))
    page = write_report(improvement(tmp_path, models=guided_results()))
    html = page.read_text(encoding="utf-8")
    assert [row[:2] for row in table(html, "figures")] == [
        ["round", "guidance"],
        ["base", "3"],
        ["1", "1.5"],
        ["2", "1"],
    ]
    assert len(re.findall(r'alt="(?:base|round \d): (?:not )?right"', html)) == 9
    assert "at several guidance scales" in html


def test_facts_pixels_pairs_and_cost(html: str) -> None:
    assert table(html, "facts")[1:] == [
        ["attribute", "75.0 %", "62.5 %", "50.0 %"],
        ["relation", "–", "–", "–"],
    ]
    assert table(html, "pixels")[2] == ["1", "12.5 %", "25.0 %", "3.500"]
    assert table(html, "cost")[1:3] == [
        ["base", "–", "–", "–", "1.500"],
        ["1", "1,500", "25.0 %", "1,234", "3.500"],
    ]


def test_the_best_round_and_its_gain_stand_first(html: str) -> None:
    boxes = re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", html, re.DOTALL)
    assert boxes == [
        ("rounds", "2"),
        ("composition all right, base", "0.250"),
        ("best: round 1", "0.625"),
        ("gain", "+0.375 <small>[−0.094, +0.844]</small>"),
    ]


def test_alternative_texts_of_curves_leave_out_what_is_missing(html: str) -> None:
    texts = re.findall(r'alt="([^"]* by round\. [^"]*)"', html)
    assert list(dict.fromkeys(texts)) == [
        "composition all right by round. base: 0.250, 1: 0.625, 2: 0.375.",
        "clip (held out) by round. base: 0.250, 1: 0.375, 2: 0.500.",
        "diversity of the images of a prompt by round. base: 0.400, 1: 0.375.",
    ]


def test_a_line_tells_of_the_image_that_is_shown_and_images_of_later_parts_are_there(
    html: str,
) -> None:
    """Another image of the first prompt is right; the third prompt lies in the second part."""
    strips = re.findall(r'<figure class="strip">.*?</figure>', html, re.DOTALL)
    verdicts = [re.findall(r'alt="(base|round \d)(: right|: not right|)"', s) for s in strips]
    labels = ("base", "round 1", "round 2")
    wrong = [(label, ": not right") for label in labels]
    assert verdicts == [wrong, wrong, [(label, ": right") for label in labels], []]
    assert strips[3].count("No image.") == 3


def test_prompts_are_escaped_and_nothing_comes_from_elsewhere(html: str) -> None:
    assert ODD not in html
    assert "&lt;script src=" in html
    assert "<script" not in html
    assert ODD in unescape(html)
    assert '<h1 dir="auto">my &lt;rounds&gt;</h1>' in html
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html) == []
    assert "default-src 'none'" in html


def test_the_json_beside_the_page(root: Path) -> None:
    data = stored(root / "report" / "rounds.json")
    assert data["best_round"] == 1
    assert data["facts"] == {
        "attribute": [[6, 8], [5, 8], [4, 8]],
        "relation": [[0, 0], [0, 0], [0, 0]],
    }
    base, _, second = data["rounds"]
    assert (base["round"], base["seconds"], base["forwards"]) == (0, 90.0, 0)
    assert (second["seconds"], second["forwards"], second["diversity"]) == (210.0, 1234.0, None)
    assert second["figures"]["clip"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert {path.name for path in (root / "report").iterdir()} == {
        *("index.html", "rounds.json", "composition_all_right.png", "clip.png", "diversity.png")
    }


def test_without_facts_no_line_tells_what_is_right(root: Path, tmp_path: Path) -> None:
    """Another scorer decides, so nothing was compared with the prompts."""
    score = CONFIG.score.model_copy(update={"scorers": ("clip",)})
    config = CONFIG.model_copy(update={"score": score})
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(rounds, "draw_curve", lambda *_: (png(1), png(2)))
        page = write_report(read_improvement(root, config), tmp_path / "page")
    html = page.read_text(encoding="utf-8")
    assert [row[0] for row in table(html, "figures")] == ["round", "base", "1", "2"]
    assert "best: round 2" in html
    assert re.findall(r'alt="(base|round \d)', html)
    assert 'right"' not in html


@pytest.mark.parametrize("record", [None, Record({})])
def test_a_folder_without_a_judged_round(tmp_path: Path, record: Record | None) -> None:
    if record:
        record.write(tmp_path)
    with pytest.raises(
        WorkspaceError, match=r"no round has been evaluated yet\. Run: invdpo improve"
    ):
        read_improvement(tmp_path, CONFIG)


@pytest.mark.parametrize("text", ['{"format": 2, "config": {}, "rounds": []}', '{"format": 1}'])
def test_a_record_of_another_version(tmp_path: Path, text: str) -> None:
    (tmp_path / "rounds.json").write_text(text)
    with pytest.raises(WorkspaceError, match="damaged, or written by another version"):
        read_improvement(tmp_path, CONFIG)
