"""The example on every help page runs, in the order in which a newcomer would try them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.console.output import Output
from invdpo.schemas.tables import REVIEWS
from tests.hub_server import connected
from tests.invdpo.cli.test_environment_page import json_fields

TINY = """
generate: {num_inference_steps: 2, batch_size: 32}
train: {num_inversion_steps: 3, num_points: 2, batch_size: 4, max_steps: 2, validate_every: 1}
"""
"""Work too small to be good, so that each example takes seconds."""

FASTER = {
    "demo": ["--quick"],
    "eval": ["--num-inference-steps", "2"],
    "improve": shlex.split(
        "--num-prompts 4 --num-candidates 3 --num-inference-steps 2 --validation-prompts 2 "
        "--max-steps 1 --num-inversion-steps 3 --num-points 1 --min-margin 0 --weight clip=1"
    ),
    "review": ["--dry-run"],
}
"""Flags put at the end of an example that no workspace's configuration reaches."""

ORDER = ("curate", "report", "train", "eval", "improve", "demo", "config", "env")
LAST = ("merge", "correct")
"""Commands whose examples need what those after them in the help make."""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that is no group, with the words that name it."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


def examples() -> list[tuple[tuple[str, ...], list[str]]]:
    found = []
    for path, command in leaves(get_command(app)):
        lines = [line.strip() for line in (command.epilog or "").splitlines()]
        calls = [line for line in lines if line.startswith("invdpo ")]
        assert calls, f"invdpo {' '.join(path)}: its help page has no example"
        found += [(path, shlex.split(call)[1:]) for call in calls]
    return sorted(found, key=lambda entry: (ORDER.index(entry[0][0]), entry[0][-1] in LAST))


def test_an_example_calls_the_command_that_it_stands_at() -> None:
    for path, words in examples():
        assert tuple(words[: len(path)]) == path


def decide(work: Path) -> None:
    """Leave one pair out, as a reviewer would on the page."""
    pair_id = pq.read_table(work / "pairs.parquet")["pair_id"][0].as_py()
    rows = [{"pair_id": pair_id, "decision": "drop"}]
    pq.write_table(pa.Table.from_pylist(rows, REVIEWS), work / "reviews.parquet")


@pytest.mark.timeout(900)
def test_all_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("work").mkdir()
    Path("work/invdpo.yaml").write_text(TINY, encoding="utf-8")
    printed: list[set[str]] = []
    result_of = Output.result

    def result_and_fields(self: Output, data: Mapping[str, Any], text: str) -> None:
        printed.append(set(data))
        result_of(self, data, text)

    monkeypatch.setattr(Output, "result", result_and_fields)
    with connected(monkeypatch, tmp_path / "home"):
        for path, words in examples():
            if path[-1] == "correct":
                decide(Path("work"))
            result = CliRunner().invoke(app, [*words, *FASTER.get(path[-1], [])])
            assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"
            assert result.stdout.strip()
            assert printed[-1] <= json_fields()[" ".join(path)], path
    made = {folder.name for folder in tmp_path.iterdir()}
    assert {"work", "pulled", "merged", "tuned", "evaluation", "improved", "demo"} <= made
    assert Path("tuned/README.md").read_text(encoding="utf-8").startswith("---\n")
    assert Path("evaluation/grid.png").stat().st_size > 1000
