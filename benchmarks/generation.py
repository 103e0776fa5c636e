"""What `invdpo curate generate` costs beside the bare pipeline; prints Markdown.

    python benchmarks/generation.py [--rounds 5] [--quick]

`bare` calls the same loaded pipeline on the same prompts and seeds in the same batches, and throws
its images away. `curate generate` is our step on a workspace: it writes PNG, hashes and Parquet;
its model is loaded before, as theirs is. Both in one process, in turn; ratios are medians of those
within a round. The images are small or the model is, so that a machine without accelerator can
run it: a real model takes longer an image, and the share of what is ours is smaller. `ours` is
the time of the processor that goes into an image outside the pipeline.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from report import stamp, table

from invdpo.curate import steps
from invdpo.curate.generate import Generate
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.ids import derived_seed

sys.path.append(str(Path(__file__).parents[1]))  # for the tests' small pipelines
from tests.curate.pipelines import sdxl

OPTIONS = RunOptions(progress=False)
EACH = 4
"""Candidates of one prompt."""


@dataclass(frozen=True)
class Case:
    """A model and what it draws."""

    name: str
    model: str
    side: int
    steps: int
    batch: int
    pictures: int


class Ways:
    """The two ways to draw the images of a case."""

    def __init__(self, case: Case, root: Path) -> None:
        self.case = case
        self.config = Config.model_validate(
            {
                "prompts": {"num_prompts": case.pictures // EACH},
                "generate": {
                    "model": case.model,
                    "num_candidates": EACH,
                    "num_inference_steps": case.steps,
                    "batch_size": case.batch,
                    "width": case.side,
                    "height": case.side,
                    "device": "cpu",
                },
            }
        )
        self.ws = Workspace(root)
        steps.make_prompts(self.ws, self.config, OPTIONS)
        rows = self.ws.read_table(self.ws.prompts_path).to_pylist()
        self.shots = [
            (row["prompt"], derived_seed(0, row["prompt_id"], k))
            for row in rows
            for k in range(EACH)
        ]
        self.stage = Generate(self.config.generate)
        self.pipeline: Any = self.stage._generators[0]._pipeline

    def bare(self) -> None:
        """The pipeline alone."""
        for start in range(0, len(self.shots), self.case.batch):
            some = self.shots[start : start + self.case.batch]
            with torch.inference_mode():
                self.pipeline(
                    [prompt for prompt, _ in some],
                    num_inference_steps=self.case.steps,
                    generator=[torch.Generator("cpu").manual_seed(seed) for _, seed in some],
                    guidance_scale=self.config.generate.guidance_scale,
                    width=self.case.side,
                    height=self.case.side,
                )

    def ours(self) -> None:
        """The step, from the table of prompts to candidates."""
        shutil.rmtree(self.ws.candidates_dir, ignore_errors=True)
        warm, steps._generator = steps._generator, lambda *_: self.stage
        try:
            made = steps.generate(self.ws, self.config, OPTIONS)
        finally:
            steps._generator = warm
        if made.made != self.case.pictures or made.rejected:
            raise RuntimeError(f"{made.made} made, {made.rejected} rejected")


def rounds(ways: Ways, count: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds by the clock and of the processor, of both ways in every round, in turn."""
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "curate generate": []}
    calls: dict[str, Callable[[], None]] = {"bare": ways.bare, "curate generate": ways.ours}
    for number in range(count + 1):
        for name, call in calls.items():
            clock, busy = time.perf_counter(), time.process_time()
            call()
            if number:  # the first round warms up
                found[name].append((time.perf_counter() - clock, time.process_time() - busy))
    return found


def told(case: Case, found: dict[str, list[tuple[float, float]]]) -> tuple[str, ...]:
    """One line of the table."""
    both = list(zip(found["bare"], found["curate generate"], strict=True))
    clock = [ours[0] / bare[0] - 1 for bare, ours in both]
    busy = [ours[1] / bare[1] - 1 for bare, ours in both]
    extra = [1000 * (ours[1] - bare[1]) / case.pictures for bare, ours in both]
    each = median(bare[1] for bare, _ in both) / case.pictures
    return (
        case.name,
        f"{case.side}x{case.side}, {case.steps} steps, batches of {case.batch}",
        f"{each:.2f} s",
        f"{median(extra):.1f} ms",
        f"{100 * median(busy):+.1f} %",
        f"{100 * median(clock):+.1f} %",
        f"{100 * min(busy):+.1f} to {100 * max(busy):+.1f} %",
    )


def cases(folder: Path, quick: bool) -> list[Case]:
    """The bundled model as it is, and a small SDXL that draws larger images."""
    sdxl(folder / "small")
    if quick:
        return [Case("bundled", "embedded", 64, 2, 8, 8)]
    return [
        Case("bundled", "embedded", 64, 20, 32, 32),
        Case("small SDXL", str(folder / "small"), 512, 20, 4, 8),
    ]


def main() -> None:
    """Print one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="A tiny run, to see that it works.")
    given = parser.parse_args()
    count = 1 if given.quick else given.rounds
    threads = torch.get_num_threads()
    print(f"{stamp()}, no accelerator. {count} rounds, {threads} thread(s) for the model.\n")
    head = (
        "model",
        "pictures",
        "bare, an image",
        "ours, an image",
        "overhead by processor time",
        "by the clock",
        "spread",
    )
    with tempfile.TemporaryDirectory() as folder:
        lines = []
        for number, case in enumerate(cases(Path(folder), given.quick)):
            ways = Ways(case, Path(folder) / f"work{number}")
            lines.append(told(case, rounds(ways, count)))
        print(table(head, lines))


if __name__ == "__main__":
    main()
