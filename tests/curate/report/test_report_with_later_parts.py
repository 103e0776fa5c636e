"""A pairing that fell short leaves pairs and report of two pairings; the next one mends that."""

from __future__ import annotations

from pathlib import Path

import pytest

from invdpo.curate import steps
from invdpo.curate.report import build
from invdpo.curate.report.build import write_report
from invdpo.curate.runner import RunOptions
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.config.pair import PairConfig
from tests.curate.report.report_workspaces import workspace


def test_report_and_pairs_come_together_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "draw_plots", lambda data: [])
    ws = workspace(tmp_path / "work")
    many = Config(pair=PairConfig(min_margin=0, target_pairs=50))
    with pytest.raises(DataError):
        steps.pair(ws, many, RunOptions(overwrite=True))
    assert "earlier pairing" in write_report(ws, "shapes").notes[0]
    few = Config(pair=PairConfig(min_margin=0))
    assert steps.pair(ws, few, RunOptions()).made == 3
    assert write_report(ws, "shapes").notes == ()
    assert steps.pair(ws, few, RunOptions()).resumed == 3
