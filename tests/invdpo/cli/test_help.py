"""What the pages in `docs/` name is there: options in moving.md, functions in objective.md."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from typer.main import get_command

from invdpo.cli import app

TESTS = Path(__file__).parents[2]
DOCS = TESTS.parent / "docs"
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9_-]*)")
ROOMS = (
    *("objective", "schedule", "models.diffusion", "models.rectified_flow"),
    *("inversion", "gradient", "batches"),
)


def ours(page: str) -> str:
    """A page without the first columns of its tables, where the other scripts' names stand."""
    lines = [re.sub(r"^\|[^|]*\|", "|", line) for line in page.splitlines()]
    return "\n".join(lines)


def train_flags() -> set[str]:
    command = get_command(app).commands["train"]  # type: ignore[attr-defined]
    names = [name for p in command.params for name in (*p.opts, *p.secondary_opts)]
    return {name.removeprefix("--") for name in names if name.startswith("--")}


def test_options_of_moving_are_options_of_train() -> None:
    text = ours((DOCS / "moving.md").read_text(encoding="utf-8"))
    named = set(FLAG.findall(text))
    assert len(named) > 30
    assert named - train_flags() == set()


@pytest.mark.parametrize("line", ["| `--theirs` | `--beta` | |", "| a | `--beta` | as `--beta` |"])
def test_first_columns_are_left_out(line: str) -> None:
    assert set(FLAG.findall(ours(line))) == {"beta"}


def test_tests_that_moving_names_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "moving.md").read_text(encoding="utf-8")))
    assert len(named) >= 14
    tests = "".join(p.read_text(encoding="utf-8") for p in (TESTS / "train").rglob("test_*.py"))
    assert {name for name in named if f"\ndef {name}(" not in tests} == set()


def test_functions_of_the_objective_page_exist() -> None:
    text = (DOCS / "objective.md").read_text(encoding="utf-8")
    pattern = re.compile(rf"\b({'|'.join(ROOMS)})\.([A-Za-z_]+)")
    named = {match for match in pattern.findall(text) if match[1] not in {"md", "py"}}
    assert len(named) >= 12
    for module, name in named:
        assert hasattr(importlib.import_module(f"invdpo.train.{module}"), name), (module, name)
