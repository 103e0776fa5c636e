"""What a step of Inversion-DPO costs beside one of Diffusion-DPO, on the bundled models.

Both train on the same pairs with the same options, once with a LoRA and once with all weights;
errors of the reference are cached by the one, and computed in every step by the other. Phase one
is not counted. Processor seconds; within a repeat the objectives follow each other.

    python benchmarks/step_times.py [--model embedded-flow] [--repeats 5] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from released import spread
from report import stamp, table

from invdpo.curate import steps
from invdpo.curate.runner import RunOptions
from invdpo.curate.shapes.bundle import bundled
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.config.section import EMBEDDED, EMBEDDED_MODELS
from invdpo.schemas.config.train import TrainConfig
from invdpo.train import train

OBJECTIVES = ("inversion-dpo", "diffusion-dpo")
WAYS: dict[str, dict[str, Any]] = {
    "LoRA of rank 16, 16 pairs at K = 2": {"batch_size": 16, "num_points": 2},
    "all weights, 64 pairs at K = 1": {"tuning": "full", "batch_size": 64, "num_points": 1},
}
"""As in the studies of `embedded.py`."""


def make_pairs(folder: Path, generate: GenerateConfig) -> Path:
    """A small dataset of the model's own images."""
    config = Config.model_validate(
        {
            "prompts": {"num_prompts": 24},
            "generate": generate,
            "pair": {"validation_fraction": 0.0},
        }
    )
    ws = Workspace(folder / "work")
    for step in (steps.make_prompts, steps.generate, steps.annotate, steps.score, steps.pair):
        step(ws, config, RunOptions(progress=False))
    return ws.dataset_dir


def step_seconds(dataset: Path, output: Path, cache: Path, config: TrainConfig) -> float:
    """Mean processor seconds of a step, of those between the first and the last."""
    ends: list[float] = []

    def note_end(_: Mapping[str, float]) -> None:
        ends.append(time.process_time())

    train(dataset, output, config, cache_dir=cache, progress=False, on_step=note_end)
    # without the last step, which ends only when the weights are saved
    return (ends[-2] - ends[0]) / (len(ends) - 2)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=EMBEDDED_MODELS, default=EMBEDDED, help="the base")
    parser.add_argument("--repeats", type=int, default=3, help="of everything; 3 by default")
    parser.add_argument("--quick", action="store_true", help="one repeat of three steps")
    given = parser.parse_args()
    torch.set_num_threads(1)
    repeats, count = (1, 3) if given.quick else (given.repeats, 12)
    generate = GenerateConfig(model=given.model, num_candidates=4, num_inference_steps=12)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = make_pairs(folder, generate)
        for way, options in WAYS.items():
            times: dict[str, list[float]] = {objective: [] for objective in OBJECTIVES}
            for number in range(repeats):
                for objective, measured in times.items():
                    config = TrainConfig.model_validate(
                        {
                            "model": str(bundled(given.model)),
                            "max_sequence_length": generate.max_sequence_length,
                            "objective": objective,
                            "num_inversion_steps": 10,
                            "max_steps": count,
                            "warmup_steps": 0,
                            "keep": "last",
                            "trackers": (),
                            **options,
                        }
                    )
                    output = folder / f"{len(rows)}-{number}-{objective}"
                    measured.append(step_seconds(dataset, output, folder / "cache", config))
                print(f"{way}: repeat {number + 1} of {repeats}", file=sys.stderr, flush=True)
            cached, live = times.values()
            shares = [a / b for a, b in zip(cached, live, strict=True)]
            rows.append((way, spread(cached), spread(live), spread(shares)))
    print(f"{given.model}, {stamp()}, no accelerator; 1 thread, torch {torch.__version__}.\n")
    print(table(("what is trained", *(f"{o}, s a step" for o in OBJECTIVES), "share"), rows))


if __name__ == "__main__":
    main()
