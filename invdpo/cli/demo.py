"""`invdpo demo`: generate, annotate, score, pair, train and evaluate in the embedded world."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.cli.command import Job, command
from invdpo.console.output import table
from invdpo.schemas.config import Config, EvalConfig
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.config.section import EMBEDDED, EMBEDDED_FLOW, EMBEDDED_MODELS
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.schemas.io.text import count_noun

if TYPE_CHECKING:
    from invdpo.curate.evaluation.results import Evaluation
    from invdpo.curate.workspace import Workspace
    from invdpo.train import TrainResult

Note = Callable[[str], None]

SHOWN = 12
"""Prompts in the grid of images: the first ones, not the best ones."""

Folder = Annotated[
    Path, typer.Option("--workspace", help="Folder for all results.", metavar="FOLDER")
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        help=f"{EMBEDDED} (predicts noise) or {EMBEDDED_FLOW} (flow matching).",
        metavar="NAME",
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Only check that every step works, in seconds.")
]


def enter(app: typer.Typer) -> None:
    """Add the command to the command line."""
    command(app, "demo", example="invdpo demo --workspace demo")(demo)


def demo(
    job: Job,
    workspace: Folder = Path("demo"),
    model: Model = EMBEDDED,
    quick: Quick = False,
) -> None:
    """Run everything with a tiny model of simple shapes, in minutes."""
    if model not in EMBEDDED_MODELS:
        raise ConfigError(
            f"--model: found {model}; allowed: {', '.join(EMBEDDED_MODELS)}. For another model "
            "see `invdpo curate run --help`."
        )
    result = run_demo(workspace, note=job.out.note, quick=quick, model=model)
    job.out.result(result.to_dict(), result.text())


def demo_config(*, quick: bool = False, model: str = EMBEDDED) -> Config:
    """What the demo runs; `quick` only shows that every step works, with a sixteenth of it."""
    size = 1 if quick else 16
    return Config(
        prompts=PromptsConfig(num_prompts=13 * size),
        generate=GenerateConfig(
            model=model,
            num_candidates=6,
            num_inference_steps=6 if quick else 12,
            guidance_scale=2.0,
        ),
        pair=PairConfig(policy="all", floors={"composition": 1.0}),
        train=TrainConfig(
            objective="diffusion-dpo",
            beta=100.0 if model == EMBEDDED_FLOW else 500.0,  # errors of the velocity are larger
            tuning="full",
            lr_scheduler="cosine",
            warmup_steps=5,
            batch_size=4 * size,
            num_points=1,
            max_steps=3 * size,
            validate_every=3 * size,
            keep="last",
        ),
        eval=EvalConfig(num_prompts=12 * size),
    )


@dataclass(frozen=True)
class DemoResult:
    """The results, and where they are."""

    folder: Path
    pairs: int
    steps: int
    evaluation: Evaluation
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The results as JSON."""
        return {
            "pairs": self.pairs,
            "best_step": self.steps,
            "figures": self.evaluation.rows(),
            "seconds": round(self.seconds, 1),
            "places": {what: str(path) for what, path in self._paths().items()},
        }

    def text(self) -> str:
        """The table of figures, and where everything is."""
        rows = [
            (
                row["figure"].removeprefix("composition_").replace("_", " "),
                *(_spread(row, side) for side in ("base", "tuned", "difference")),
            )
            for row in self.evaluation.rows()
        ]
        count = len(self.evaluation.results)
        header = (f"on {count} held-out prompts", "base", "tuned", "difference [95 %]")
        paths = "\n".join(f"{what:<12}{path}" for what, path in self._paths().items())
        done = f"{count_noun(self.pairs, 'pair')}, {count_noun(self.steps, 'step')}"
        end = f"{done}, {self.seconds:.0f} seconds in total."
        return f"{table(header, rows)}\n\n{end}\n\n{paths}"

    def _paths(self) -> dict[str, Path]:
        return {
            "pictures": self.folder / "grid.png",
            "dataset": self.folder / "dataset",
            "report": self.folder / "report" / "index.html",
            "tuned model": self.folder / "tuned",
            "evaluation": self.folder / "eval",
        }


def run_demo(folder: Path, *, note: Note, quick: bool = False, model: str = EMBEDDED) -> DemoResult:
    """Run every step in `folder`; what an earlier run finished is not repeated.

    Raises what the steps raise.
    """
    from invdpo.curate.evaluation.grid import write_grid
    from invdpo.curate.workspace import Workspace

    start, config, ws = time.monotonic(), demo_config(quick=quick, model=model), Workspace(folder)
    _curate(ws, config, note)
    note("5/6  Train the model on the pairs")
    trained = _train(ws, config)
    note("6/6  Generate images for held-out prompts with both models, from the same seeds")
    evaluation = _evaluate(ws, config)
    write_grid(folder / "grid.png", evaluation.results[:SHOWN])
    seconds = time.monotonic() - start
    return DemoResult(folder, trained.pairs, trained.best_step, evaluation, seconds)


def _curate(ws: Workspace, config: Config, note: Note) -> None:
    from invdpo.curate import steps
    from invdpo.curate.report.build import write_report
    from invdpo.curate.runner import RunOptions

    options, images = RunOptions(), config.prompts.num_prompts * config.generate.num_candidates
    note(f"1/6  Generate {images:,} images for {config.prompts.num_prompts} prompts")
    steps.make_prompts(ws, config, options)
    steps.generate(ws, config, options)
    note("2/6  Read a scene graph from every image")
    steps.annotate(ws, config, options)
    note("3/6  Score the images: facts of the prompt that are right, and CLIP")
    steps.score(ws, config, options)
    note("4/6  Pair images that are exactly right with others of the same prompt that are not")
    steps.pair(ws, config, options)
    write_report(ws, config.score.annotator)


def _train(ws: Workspace, config: Config) -> TrainResult:
    from invdpo.curate.scene_graphs.focus import focus_boxes
    from invdpo.curate.shapes.bundle import bundled
    from invdpo.train import train

    generate = config.generate
    drawn = {
        "model": str(bundled(generate.model)),
        "max_sequence_length": generate.max_sequence_length,
    }
    section = config.train.model_copy(update=drawn)
    return train(ws.dataset_dir, ws.root / "tuned", section, focus_boxes=focus_boxes)


def _evaluate(ws: Workspace, config: Config) -> Evaluation:
    from invdpo.curate.evaluation.compare import evaluate_models
    from invdpo.curate.evaluation.models import EvaluatedModel
    from invdpo.curate.runner import RunOptions

    base, tuned = (
        EvaluatedModel(config.generate.model),
        EvaluatedModel(str(ws.root / "tuned")),
    )
    # training may give other weights on another machine; the images are then made again
    options = RunOptions(overwrite=True)
    return evaluate_models(ws.root / "eval", config, base, tuned, options)


def _spread(row: dict[str, Any], side: str) -> str:
    sign = "+" if side == "difference" else ""
    low, high = row[f"{side}_low"], row[f"{side}_high"]
    return f"{row[side]:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
