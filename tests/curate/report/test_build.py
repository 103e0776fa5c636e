"""The folder of a report: what is in it, what is left out and told, what is refused."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from PIL import Image

from invdpo.curate.fingerprints import require_current_pairs
from invdpo.curate.report import build
from invdpo.curate.report.build import write_report
from invdpo.curate.storage.parts import read_header, read_part, write_part
from invdpo.curate.storage.urls import to_path
from invdpo.curate.workspace import Workspace
from invdpo.hub.source import find_dataset
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.config.pair import PairConfig
from tests.curate.report.report_workspaces import workspace


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take their time, and other tests see to them."""
    monkeypatch.setattr(build, "draw_plots", lambda data: [])


def test_page_and_plots(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "work")
    written = write_report(ws, "shapes")
    assert written.page == ws.root / "report" / "index.html"
    assert {"filters", "margins", "scores", "votes", "balance"} <= set(written.plots)
    assert {path.name for path in written.folder.iterdir()} == {
        "index.html",
        *(f"{name}.png" for name in written.plots),
    }
    for name in written.plots:
        with Image.open(written.folder / f"{name}.png") as image:
            assert image.width > 700
    assert written.size == written.page.stat().st_size < 10_000_000
    assert written.shown > 0


def test_the_same_workspace_gives_the_same_bytes(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "work")
    first, second = write_report(ws, "shapes"), write_report(ws, "shapes", tmp_path / "other")
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes()


def test_a_run_that_fell_short(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="9 pairs were requested"):
        workspace(tmp_path / "work", pair=PairConfig(min_margin=0, target_pairs=9))
    written = write_report(Workspace(tmp_path / "work"), "shapes")
    assert written.shown == 0
    assert written.notes
    assert (written.folder / "votes.png").exists()


def test_no_pair_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        workspace(tmp_path / "work", pair=PairConfig(min_margin=100))
    written = write_report(Workspace(tmp_path / "work"), "shapes")
    assert written.findings.pairs.total == 0
    assert written.plots[0] == "filters"


@pytest.mark.usefixtures("no_plots")
def test_pairs_of_an_earlier_pairing_are_not_shown(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "work")
    report = json.loads(ws.report_path.read_text(encoding="utf-8"))
    report["config"]["min_margin"] = 0.5
    ws.report_path.write_text(json.dumps(report), encoding="utf-8")
    written = write_report(ws, "shapes")
    assert written.shown == 0
    assert "earlier pairing" in written.notes[0]


@pytest.mark.usefixtures("no_plots")
def test_scores_that_are_gone_are_told(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "work")
    (ws.scores_dir("clip") / "part-00000.parquet").unlink()
    written = write_report(ws, "shapes")
    assert any(note.startswith("Scores of clip are left out.") for note in written.notes)
    assert written.shown > 0


def test_without_a_report(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="First run: invdpo curate prompts"):
        write_report(Workspace(tmp_path / "none"), "shapes")
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("no_plots")
def test_a_report_that_is_none(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "work")
    ws.report_path.write_text('{"config": {}, "pairs": 3}', encoding="utf-8")
    with pytest.raises(DataError, match=r"pairs\.report\.json: not a report of pairs: candidates"):
        write_report(ws, "shapes")
    assert not (ws.root / "report").exists()


NEW = ("filters", "agreement", "strata", "worst", "images", "split", "costs", "reviews")


def test_a_report_of_an_earlier_version(tmp_path: Path) -> None:
    """Sections it lacks are left out, those it has are shown."""
    ws = workspace(tmp_path / "work")
    report = json.loads(ws.report_path.read_text(encoding="utf-8"))
    assert {"filters", "agreement", "strata", "worst"} <= report.keys()
    old = {name: value for name, value in report.items() if name not in NEW}
    for scorer in old["scorers"].values():
        scorer.pop("role")
        scorer.pop("tie_rate")
    ws.report_path.write_text(json.dumps(old), encoding="utf-8")
    written = write_report(ws, "shapes")
    assert written.plots == ("filters", "margins", "scores", "votes", "balance")
    assert written.shown == 3


@pytest.mark.usefixtures("no_plots")
def test_a_workspace_on_an_object_store(tmp_path: Path) -> None:
    local = workspace(tmp_path / "work").root
    remote = to_path(f"memory://{uuid.uuid4().hex}/work")
    for file in (path for path in local.rglob("*.*") if path.is_file()):
        (remote / file.relative_to(local).as_posix()).write_bytes(file.read_bytes())
    written = write_report(Workspace(remote), "shapes")
    assert written.shown == 3
    assert written.page.read_bytes() == write_report(Workspace(local), "shapes").page.read_bytes()


@pytest.mark.parametrize("remade", ["candidates", "scores"])
@pytest.mark.usefixtures("no_plots")
def test_pairs_older_than_what_they_were_chosen_from_are_told_and_not_pushed(
    tmp_path: Path, remade: str
) -> None:
    """As after `generate --overwrite`: the page had other images, or none, without a word."""
    ws = workspace(tmp_path / "work")
    assert write_report(ws, "shapes").notes == ()
    require_current_pairs(ws)
    folder = ws.candidates_dir if remade == "candidates" else ws.scores_dir("clip")
    part, section = folder / "part-00000.parquet", remade.replace("candidates", "generate")
    made_by = read_header(part).fingerprint
    write_part(part, read_part(part), made_by | {section.removesuffix("s"): {"name": "other"}})
    written = write_report(ws, "shapes")
    assert "not chosen from the images and scores shown" in written.notes[0]
    assert "--overwrite" in written.notes[0]
    with pytest.raises(WorkspaceError, match="made from an earlier version of a table"):
        find_dataset(ws.root)
    assert find_dataset(ws.dataset_dir).pairs == 3
