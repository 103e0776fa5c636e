"""The benchmarks' commands run, small, and what doesn't depend on the machine comes out right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    "INVDPO_BENCHMARKS" not in os.environ,
    reason="takes some minutes; set INVDPO_BENCHMARKS=1 after a change in benchmarks/",
)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """A benchmark as its user runs it."""
    return subprocess.run(
        [sys.executable, f"benchmarks/{words[0]}", *words[1:]],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def rows(text: str) -> list[list[str]]:
    """The cells of every line of every table."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines]


@pytest.fixture(scope="module")
def released() -> list[list[str]]:
    done = run("released.py", "--quick", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    return rows(done.stdout)


@pytest.mark.parametrize(
    ("mode", "steps", "calls", "samples"),
    [
        ("released", 8, 4 * 8, 8 * 8),
        ("released, guidance 1", 8, 4 * 8, 4 * 8),
        ("exact", 8, 8, 2 * 8),
        ("exact, N / 8", 1, 1, 2),
        ("K = 8", 8, 8, 2 * 8),
        ("inversion", 8, 9, 2 * 9),
        ("inversion, guidance 2", 8, 9, 4 * 9),
    ],
)
def test_calls_of_a_step(
    mode: str, steps: int, calls: int, samples: int, released: list[list[str]]
) -> None:
    line = next(line for line in released if line[0] == mode)
    assert line[1:4] == [str(steps), str(calls), str(samples)]


def test_gradient_and_memory_reach_their_goals(released: list[list[str]]) -> None:
    reached = {line[0]: line[-1] for line in released if len(line) == 3}
    assert 0 < float(reached["gradient of exact against full graph, relative"]) <= 1e-5
    grown = reached["peak memory, exact at N against N / 8"].split()[0]
    assert 0.95 < float(grown) <= 1.05
    assert float(reached["peak memory, exact against released"].split()[0]) <= 0.1


def test_accelerator_on_a_processor() -> None:
    done = run("accelerator.py", "--device", "cpu", "--tiny")
    assert done.returncode == 0, done.stderr
    cells = [line for line in rows(done.stdout) if len(line) == 8][2:]
    ways = [("lora", "no"), ("lora", "yes"), ("full", "yes"), ("full", "no")]
    assert [line[:3] for line in cells] == [[*way, k] for way in ways for k in ("1", "4", "8")]
    assert all(float(line[4]) > 0 for line in cells)


def test_no_accelerator_is_said_in_a_line() -> None:
    import torch

    if torch.accelerator.is_available():
        pytest.skip("there is one here")
    done = run("accelerator.py")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("torch sees no accelerator")


def test_parsing_counts_what_agrees(tmp_path: Path) -> None:
    lines = [
        '{"prompt": "two cows", "include": [{"class": "cow", "count": 2}]}',
        '{"prompt": "a dog", "include": [{"class": "cat", "count": 1}]}',
        '{"prompt": "dogs that sleep", "include": [{"class": "dog", "count": 1}]}',
    ]
    (tmp_path / "prompts_few.jsonl").write_text("\n".join(lines))
    (tmp_path / "colour_train.txt").write_text("a red cat\nsomething is going on here\n")
    done = run("parsing.py", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert ["objects", "3", "2", "0.500", "0.333"] in found
    assert ["positions", "0", "0", "none", "none"] in found
    assert next(row for row in found if row[0] == "colour")[1:4] == ["2", "0.500", "0.500"]


def test_together_tries_each_scorer_alone_too() -> None:
    done = run("together.py", "--quick", "--side", "128")
    assert done.returncode == 0, done.stderr
    ways = [row[0] for row in rows(done.stdout)[2:]]
    assert ways[:4] == ["one after another", "together", "`clip` alone", "`aesthetic` alone"]


def test_scaling_scores_what_is_there() -> None:
    done = run("scaling.py", "--sizes", "70", "130")
    assert done.returncode == 0, done.stderr
    assert [row[0] for row in rows(done.stdout)[2:]] == ["70", "130"]


def test_writing_is_compared_with_copying() -> None:
    done = run("writing.py", "--quick")
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)[2:]
    assert [line[:2] for line in found] == [
        ["64", "copy"],
        ["64", "write"],
        ["128", "copy"],
        ["128", "write"],
    ]
    assert all(float(line[7]) > 0.99 for line in found if line[1] == "write")


def test_world_measures_annotator_and_model() -> None:
    done = run("world.py", "--scenes", "20", "--prompts", "4", "--sampling", "2:2")
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert [row[:2] for row in found if row[1] == "20"] == [
        [name, "20"] for name in ("as rendered", "blurred by a pixel", "noise of 12/255", "specks")
    ]
    assert found[-1][:3] == ["2", "2", "4"]
    assert "%" in found[-1][3]


def test_generation_is_compared_with_the_bare_pipeline() -> None:
    done = run("generation.py", "--quick")
    assert done.returncode == 0, done.stderr
    (line,) = rows(done.stdout)[2:]
    assert line[:2] == ["bundled", "64x64, 2 steps, batches of 8"]
    assert line[4].endswith("%")


def test_steps_of_both_objectives_are_timed() -> None:
    done = run("step_times.py", "--quick")
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)[2:]
    assert [line[0].split(",")[0] for line in found] == ["LoRA of rank 16", "all weights"]
    assert all(float(line[3].split()[0]) > 0 for line in found)
