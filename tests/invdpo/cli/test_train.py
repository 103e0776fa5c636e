from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.schemas.io.text import format_seconds

SMALL = ["--num-inversion-steps", "4", "--num-points", "2", "--batch-size", "2", "--max-steps", "3"]


def call(dataset: Path, pipeline: Path, *words: str) -> str:
    command = ["train", str(dataset), "--model", str(pipeline), *SMALL, *words]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_dry_run_tells_and_writes_nothing(
    dataset: Path, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = call(dataset, pipeline, "--dry-run")
    assert "6 to train on, 2 for validation" in text
    assert "16 trajectories, 16 images, 4 prompts" in text
    assert "144 to fill the cache, 24 to train, 16 to validate" in text
    assert "measured by a few calls" in text
    words = ("--dry-run", "--output", str(tmp_path / "runs" / "out"), "--json")
    data = json.loads(call(dataset, pipeline, *words))
    assert data["cache"] == str(tmp_path / "runs" / "trajectories")
    assert (data["lacking"]["trajectories"], data["train_forwards"]) == (16, 24)
    assert list(tmp_path.iterdir()) == []


def test_a_check_shows_three_grids(dataset: Path, pipeline: Path) -> None:
    words = ("--check-inversion", "--check-images", "2")
    lines = call(dataset, pipeline, *words).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["steps", "2", "4", "8"]
    assert "N = 4" in lines[-1]
    data = json.loads(call(dataset, pipeline, *words, "--json"))
    assert (data["images"], len(data["rows"]), data["configured"]) == (2, 3, 4)


def test_training_needs_an_output(dataset: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(dataset)])
    assert result.exit_code == 2
    assert "--output" in result.output


@pytest.mark.parametrize(
    ("seconds", "said"), [(12.3, "12 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")]
)
def test_times_in_words(seconds: float, said: str) -> None:
    assert format_seconds(seconds) == said
