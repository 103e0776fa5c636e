"""The whole path in the embedded world: sample, annotate, score, pair, train, evaluate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.cli.output import table
from invdpo.schemas.config import Config, EvalConfig
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.config.train import TrainConfig

if TYPE_CHECKING:
    from invdpo.curate.evaluation.compare import Evaluation
    from invdpo.curate.workspace import Workspace
    from invdpo.train import TrainResult

Note = Callable[[str], None]

SHOWN = 12
"""Prompts in the picture grid: the first ones, not the best ones."""


def demo_config(*, quick: bool = False) -> Config:
    """What the demo runs; `quick` only shows that every step works, at a thirtieth of the size."""
    size = 1 if quick else 32
    return Config(
        prompts=PromptsConfig(num_prompts=20 * size),
        generate=GenerateConfig(num_candidates=6, num_inference_steps=12, guidance_scale=2.0),
        train=TrainConfig(
            learning_rate=1e-3,
            num_points=2,
            warmup_steps=10,
            max_steps=5 * size,
            validate_every=size,
        ),
        eval=EvalConfig(num_prompts=16 * size),
    )


@dataclass(frozen=True)
class DemoResult:
    """What came out, and where it lies."""

    folder: Path
    pairs: int
    steps: int
    evaluation: Evaluation
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {
            "pairs": self.pairs,
            "best_step": self.steps,
            "figures": self.evaluation.rows(),
            "seconds": round(self.seconds, 1),
            "places": {what: str(path) for what, path in self._places().items()},
        }

    def text(self) -> str:
        """The table of figures, and where everything lies."""
        rows = [
            (
                row["figure"].removeprefix("composition_").replace("_", " "),
                *(_spread(row, side) for side in ("base", "tuned", "difference")),
            )
            for row in self.evaluation.rows()
        ]
        count = len(self.evaluation.results)
        header = (f"on {count} held-out prompts", "base", "tuned", "difference [95 %]")
        places = "\n".join(f"{what:<12}{path}" for what, path in self._places().items())
        end = f"{self.pairs} pairs, {self.steps} steps kept, {self.seconds:.0f} seconds in all."
        return f"{table(header, rows)}\n\n{end}\n\n{places}"

    def _places(self) -> dict[str, Path]:
        return {
            "pictures": self.folder / "grid.png",
            "data set": self.folder / "dataset",
            "report": self.folder / "report" / "index.html",
            "tuned LoRA": self.folder / "tuned",
            "evaluation": self.folder / "eval",
        }


def run_demo(folder: Path, *, note: Note, quick: bool = False) -> DemoResult:
    """Run every step in `folder`; what an earlier run finished is not done again.

    Raises what the steps raise.
    """
    from invdpo.curate.evaluation.grid import write_grid
    from invdpo.curate.workspace import Workspace

    begin, config, ws = time.monotonic(), demo_config(quick=quick), Workspace(folder)
    _curate(ws, config, note)
    note("5/6  Train a LoRA on the pairs (inversion first, then steps)")
    trained = _train(ws, config)
    note("6/6  Draw held-out prompts with both models, same seeds")
    evaluation = _evaluate(ws, config)
    write_grid(folder / "grid.png", evaluation.results[:SHOWN])
    seconds = time.monotonic() - begin
    return DemoResult(folder, trained.pairs, trained.best_step, evaluation, seconds)


def _curate(ws: Workspace, config: Config, note: Note) -> None:
    from invdpo.curate import steps
    from invdpo.curate.report.build import write_report
    from invdpo.curate.runner import RunOptions

    options, asked = RunOptions(), config.prompts.num_prompts * config.generate.num_candidates
    note(f"1/6  Draw {asked:,} pictures for {config.prompts.num_prompts} prompts")
    steps.make_prompts(ws, config, options)
    steps.generate(ws, config, options)
    note("2/6  Read a scene graph off every picture")
    steps.annotate(ws, config, options)
    note("3/6  Score them: facts that hold, and CLIP")
    steps.score(ws, config, options)
    note("4/6  Pair the best with the worst picture of each prompt")
    steps.pair(ws, config, options)
    write_report(ws, config.score.annotator)


def _train(ws: Workspace, config: Config) -> TrainResult:
    from invdpo.curate.shapes.bundle import model_path
    from invdpo.train import train

    section = config.train.model_copy(update={"model": str(model_path())})
    return train(ws.dataset_dir, ws.root / "tuned", section)


def _evaluate(ws: Workspace, config: Config) -> Evaluation:
    from invdpo.curate.evaluation.compare import EvaluatedModel, evaluate_models
    from invdpo.curate.runner import RunOptions

    base, tuned = (
        EvaluatedModel("embedded"),
        EvaluatedModel("embedded", lora=str(ws.root / "tuned")),
    )
    # Training again may give other weights (another machine, say); then the pictures are remade.
    options = RunOptions(overwrite=True)
    return evaluate_models(ws.root / "eval", config, base, tuned, options)


def _spread(row: dict[str, Any], side: str) -> str:
    sign = "+" if side == "difference" else ""
    low, high = row[f"{side}_low"], row[f"{side}_high"]
    return f"{row[side]:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
