"""Processes that crash are started once more, and no more than that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.processes import run_processes


def abort(folder: str, crashes: str) -> None:
    """Crash in the first process, the first so many times."""
    runs = Path(folder) / os.environ["RANK"]
    number = len(runs.read_text()) if runs.exists() else 0
    runs.write_text("x" * (number + 1))
    if os.environ["RANK"] == "0" and number < int(crashes):
        os.abort()


def test_a_crash_is_forgiven_once(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"Exit codes \[-6, 0\], so run again"):
        assert run_processes(2, abort, (str(tmp_path), "1"), tmp_path / "printed") == [0, 0]
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["xx", "xx"]


def test_two_crashes_are_a_failure(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="so run again"):
        assert run_processes(1, abort, (str(tmp_path), "9"), tmp_path / "printed") == [-6]
    assert (tmp_path / "0").read_text() == "xx"
