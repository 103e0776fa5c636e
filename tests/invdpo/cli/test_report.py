"""`invdpo report`: what it prints, for people and for machines, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate.report import build
from invdpo.schemas import DataError
from invdpo.schemas.config.pair import PairConfig
from tests.curate.report.report_workspaces import workspace


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take their time, and other tests see to them."""
    monkeypatch.setattr(build, "draw_plots", lambda data: [])


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_short_table_and_where_the_page_lies(tmp_path: Path) -> None:
    work = workspace(tmp_path / "work").root
    result = invdpo("report", work)
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["pairs", "3:"]
    assert "prompts with a pair   3 of 3" in lines
    assert [line.split()[0] for line in lines if line.startswith(("clip", "comp"))] == [
        "clip",
        "composition",
    ]
    assert f"page                  {work / 'report' / 'index.html'} (" in result.stdout
    assert max(map(len, lines[:-2])) <= 80


def test_json(tmp_path: Path) -> None:
    work = workspace(tmp_path / "work").root
    result = invdpo("report", work, "--json", "--output", tmp_path / "out")
    found = json.loads(result.stdout)
    assert found["page"] == str(tmp_path / "out" / "index.html")
    assert found["bytes"] == Path(found["page"]).stat().st_size
    assert (found["pairs"], found["pairs_shown"], found["shortfall"]) == (3, 3, None)
    assert not (work / "report").exists()


def test_after_a_pairing_that_fell_short(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        workspace(tmp_path / "work", pair=PairConfig(min_margin=0, target_pairs=9))
    result = invdpo("report", tmp_path / "work")
    assert result.exit_code == 0
    assert "fewer than asked for  9 pairs were requested, 3 were found." in result.stdout
    assert "No pairs were written" in result.stderr


def test_another_annotator(tmp_path: Path) -> None:
    """Its graphs are not there, so nothing is told of what was seen."""
    work = workspace(tmp_path / "work").root
    assert "<rect" in page(invdpo("report", work, "--json"))
    assert "<rect" not in page(invdpo("report", work, "--json", "--annotator", "other"))


def page(result: Any) -> str:
    return Path(json.loads(result.stdout)["page"]).read_text(encoding="utf-8")


def test_before_any_pairing(tmp_path: Path) -> None:
    result = invdpo("report", tmp_path / "none")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"Error: {tmp_path / 'none' / 'prompts.parquet'}: does not exist yet. First run: invdpo "
        f"curate prompts {tmp_path / 'none'}\n"
    )


def test_a_folder_with_other_things(tmp_path: Path) -> None:
    work = workspace(tmp_path / "work").root
    result = invdpo("report", work, "--output", work)
    assert result.exit_code == 1
    assert "holds other files" in result.stderr
    assert (work / "pairs.parquet").exists()
