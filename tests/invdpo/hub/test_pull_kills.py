"""A pull that is killed at any moment goes on; two at once are not mixed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.io.lock import FolderLock
from tests.invdpo.hub.shelf import Shelf, pull, tables
from tests.locks import held_elsewhere


class Killed(BaseException):
    """Ends a pull as a kill does: nothing of it tidies up."""


def kill_at(patch: pytest.MonkeyPatch, moment: int) -> list[int]:
    """End at this call, from the last rename but one on; the count of calls so far."""
    calls = [-1]

    def counted(name: str) -> Any:
        real = getattr(os, name)

        def call(path: Any, *rest: Any, **options: Any) -> Any:
            begins = name == "rename" and Path(rest[0]).name == "complete"
            calls[0] += begins or calls[0] >= 0
            if calls[0] == moment:
                raise Killed
            return real(path, *rest, **options)

        return call

    for name in ("rename", "unlink", "rmdir"):
        patch.setattr(os, name, counted(name))
    return calls


def test_a_pull_that_is_killed_while_it_tidies_up_can_be_repeated(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        calls = kill_at(patch, -2)
        whole = pull(tmp_path / "first")
    last = calls[0] - 2  # then come the lock's two files
    for moment in (0, last // 2, last - 1, last):
        output = tmp_path / str(moment) / "back"
        with monkeypatch.context() as patch:
            kill_at(patch, moment)
            with pytest.raises(Killed):
                pull(output)
        assert replace(pull(output), output=whole.output) == whole
        assert tables(output).keys() == tables(shelf.work).keys()
        assert os.listdir(output.parent) == ["back"]


def test_leftovers_of_another_commit_prove_nothing(shelf: Shelf, tmp_path: Path) -> None:
    pull(tmp_path / "back")
    (tmp_path / ".back.pull" / "0123").mkdir(parents=True)
    with pytest.raises(DataError, match="already exists"):
        pull(tmp_path / "back")
    assert not (tmp_path / ".back.pull").exists()


def test_two_pulls_at_once(shelf: Shelf, tmp_path: Path) -> None:
    output = tmp_path / "back"
    refused = pytest.raises(WorkspaceError, match="is writing there")
    with held_elsewhere(FolderLock(output, beside=True)), refused:
        pull(output)
