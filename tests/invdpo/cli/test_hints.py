"""Flags of other trainers are answered with ours, and the shell completes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.cli.hints import MEANT, meant_by

FLAGS = Path(__file__).with_name("flags.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("train data --lr 1", "No such option: --lr. Did you mean --learning-rate?"),
        ("train data --steps 1", "No such option: --steps. Did you mean --max-steps?"),
        ("train data --batch 1", "No such option: --batch. Did you mean --batch-size?"),
        ("train data --output_dir x", "--output_dir. Did you mean --output?"),
        ("curate generate work --cfg 7", "--cfg. Did you mean --guidance-scale?"),
        ("curate run work --n 3", "--n. Did you mean --num-prompts or --num-candidates?"),
        (
            "curate run work --bs 3",
            "Did you mean --annotate-batch-size or --generate-batch-size or --score-batch-size?",
        ),
        ("train data --learning-rat 1", "--learning-rate"),
        (
            "train data --num_train_epochs 3",
            "Did you mean --max-steps? The length of a training is given in steps: EPOCHS x "
            "training pairs / (batch size x gradient accumulation steps x processes). --dry-run",
        ),
        ("improve work --epochs 3", "--max-steps? The length of a training is given in steps"),
    ],
)
def test_an_unknown_flag_is_answered_with_ours(words: str, hint: str) -> None:
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 2
    assert hint in " ".join(result.stderr.split())


def test_hints_name_flags_that_there_are() -> None:
    flags = {line.split()[-1] for line in FLAGS if not line.endswith("(hidden)")}
    assert [name for name in MEANT if not meant_by(f"--{name}", flags)] == []
    assert meant_by("--lr", {"--beta"}) == []


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("cur", ["curate"]), ("train data --learn", ["--learning-rate"]), ("curate sc", ["score"])],
)
def test_the_shell_completes_commands_and_flags(typed: str, completed: list[str]) -> None:
    words = f"invdpo {typed}"
    env = {
        "_INVDPO_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(app, [], prog_name="invdpo", env=env)
    assert result.stdout.split() == completed
