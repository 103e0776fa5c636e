"""`~` on the command line: never a folder of this name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.cli.command import command
from tests.invdpo.cli.test_train import SMALL

Text = Annotated[str, typer.Argument()]
Number = Annotated[int, typer.Argument()]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def invdpo(*words: str) -> Any:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_workspace_and_a_flag(home: Path) -> None:
    (home / "p.txt").write_text("a red circle\n")
    words = ("--source", "file", "--path=~/p.txt")
    step = invdpo("curate", "prompts", "~/run", *words)["steps"][0]
    assert (step["made"], step["path"]) == (1, f"{home}/run/prompts.parquet")
    assert list(Path().iterdir()) == []


def test_the_folders_of_a_training(home: Path, dataset: Path, pipeline: Path) -> None:
    words = ("train", str(dataset), "--model", str(pipeline), *SMALL, "--dry-run")
    data = invdpo(*words, "--output=~/tuned")
    assert data["cache"] == f"{home}/trajectories"
    assert invdpo(*words, "--output=~/tuned", "--cache-dir=~/c")["cache"] == f"{home}/c"


def test_paths_of_all_kinds(home: Path) -> None:
    seen: list[object] = []
    small = typer.Typer()

    @command(small, "go", example="go")
    def go(
        job: Any,
        text: Text,
        number: Number,
        folder: Path = Path("~/f"),
        none: Path | None = None,
        name: str = "~/n",
    ) -> None:
        seen.extend([text, number, folder, none, name, job.common.config])

    (home / "c.yaml").write_text("")
    result = CliRunner().invoke(small, ["~/t", "3", "--config=~/c.yaml"])
    assert result.exit_code == 0, result.output
    assert seen == [f"{home}/t", 3, home / "f", None, "~/n", home / "c.yaml"]
