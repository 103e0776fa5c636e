"""What stands on the page: facts, boxes, scores, origins; and texts of data are only texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from invdpo.curate import steps
from invdpo.curate.report import build
from invdpo.curate.report.build import write_report
from invdpo.curate.runner import RunOptions
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.tables import REVIEWS
from tests.curate.report.report_workspaces import workspace


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take their time, and other tests see to them."""
    monkeypatch.setattr(build, "draw_plots", lambda data: [])


class Reader(HTMLParser):
    """Texts and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] != "style":
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(ws: Workspace) -> Reader:
    return Reader(write_report(ws, "shapes").page.read_text(encoding="utf-8"))


def test_nothing_on_the_page_leads_elsewhere(tmp_path: Path) -> None:
    page = read(workspace(tmp_path / "work"))
    policy = page.all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    for _, attributes in page.tags:
        for name in ("src", "srcset", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#"))
    assert not page.all("script")
    assert all("style" not in attributes for _, attributes in page.tags)


def test_facts_boxes_and_scores(tmp_path: Path) -> None:
    page = read(workspace(tmp_path / "work", ["a red circle to the left of a blue square"]))
    assert {"circle is red", "red circle left of blue square", "2 objects in all"} <= set(
        page.texts
    )
    classes = [attributes.get("class") for attributes in page.all("rect")]
    assert classes.count("halo") == 4  # two objects on either image
    marks = [attributes["href"] for attributes in page.all("use")]
    facts = 2 + 2 + 1 + 2 + 1
    assert len(marks) == 2 * facts
    wrong = ["square", "square is blue", "red circle left of blue square", "1 × square"]
    assert marks.count("#no") == len(wrong)
    assert {"blue square", "blob"} <= set(page.texts)
    assert {"0.500", "0.250"} <= set(page.texts)
    assert "1 pair" in page.texts
    assert any("Where the prompt has no scene graph, all are solid" in t for t in page.texts)


def test_provenance(tmp_path: Path) -> None:
    page = read(workspace(tmp_path / "work"))
    assert {"model", "composition", "clip", "shapes"} <= set(page.texts)
    assert not any("private" in text for text in page.texts)
    assert any("steps 12, guidance 2" in text for text in page.texts)
    assert any(re.fullmatch("[0-9a-f]{32}", text) for text in page.texts)


HOSTILE = "<script>alert(1)</script> & \"'><img src=x onerror=alert(2)>"


def test_texts_of_data_are_no_markup(tmp_path: Path) -> None:
    graph = {"items": [{"item_id": 0, "label": HOSTILE, "attributes": [HOSTILE]}]}
    page = read(workspace(tmp_path / "<b>work", [HOSTILE], graph=graph))
    assert not page.all("script")
    assert not page.all("b")
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert HOSTILE in "".join(page.texts)


def test_scripts_that_run_from_right_to_left(tmp_path: Path) -> None:
    text = "دائرة حمراء إلى يسار مربع أزرق"
    page = read(workspace(tmp_path / "work", [text]))
    assert text in page.texts
    assert all(p["dir"] == "auto" for p in page.all("p") if p.get("class") == "prompt")


def test_very_long_prompts_are_cut(tmp_path: Path) -> None:
    graph = {"items": [{"item_id": n, "label": "x" * 5000} for n in range(300)]}
    ws = workspace(tmp_path / "work", ["word " * 40_000] * 4, graph=graph)
    written = write_report(ws, "shapes")
    page = Reader(written.page.read_text(encoding="utf-8"))
    assert any("199,300 more letters" in text for text in page.texts)
    assert any(text.startswith("and ") and text.endswith(" more") for text in page.texts)
    assert written.size < 1_000_000


def test_without_observed_graphs(tmp_path: Path) -> None:
    page = read(workspace(tmp_path / "work", annotated=False))
    assert not page.all("rect")
    assert not page.all("use")
    assert "circle is red" in page.texts


def test_without_intended_graphs(tmp_path: Path) -> None:
    page = read(workspace(tmp_path / "work", graph=None))
    assert "asked for" not in page.texts
    assert page.all("rect")


def test_split(tmp_path: Path) -> None:
    page = read(workspace(tmp_path / "work"))
    assert any(text.startswith("Split by graph: ") for text in page.texts)


def test_reviews(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "work")
    first, second, _ = ws.read_table(ws.pairs_path)["pair_id"].to_pylist()
    rows = [
        {"pair_id": first, "decision": "flip"},
        {"pair_id": second, "decision": "equal"},
        {"pair_id": "gone", "decision": "drop"},
    ]
    write_part(ws.reviews_path, pa.Table.from_pylist(rows, REVIEWS), {})
    config = Config(pair=PairConfig(min_margin=0, reviews=True))
    steps.pair(ws, config, RunOptions(overwrite=True))
    page = read(ws)
    assert "agrees with the person" in page.texts
    cells = [text for text in page.texts if text]
    for decision, pairs in (
        ("kept", "0"),
        ("flipped", "1"),
        ("equally good", "1"),
        ("on pairs that are not there", "1"),
    ):
        assert cells[cells.index(decision) + 1] == pairs
    assert "25.0 %" in page.texts  # none of the one turned round, half of the one called equal


def test_a_run_that_fell_short(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        workspace(tmp_path / "work", pair=PairConfig(min_margin=0, target_pairs=9))
    page = read(Workspace(tmp_path / "work"))
    assert "Fewer pairs than asked for." in page.texts
    assert not page.all("article")


def test_pictures_that_are_gone_or_broken(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "work")
    (ws.candidates_dir / "part-00000.parquet").unlink()
    assert "The image is missing." in read(ws).texts
