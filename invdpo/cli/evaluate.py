"""`invdpo eval`: compare a tuned model with its base on held-out prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.cli.arguments import output_option
from invdpo.cli.command import Job, command
from invdpo.cli.output import table
from invdpo.schemas import ConfigError, DataError

if TYPE_CHECKING:
    from invdpo.curate.evaluation.compare import EvaluatedModel, Evaluation

GRID = 12
"""Prompts in the grid of images."""

TUNED = "What `invdpo train` wrote: a LoRA (folder or file) or the folder of a model."

Tuned = Annotated[Path, typer.Argument(help=TUNED, metavar="TUNED")]

SAMPLING = (
    "eval",
    "prompts.source",
    "prompts.path",
    "generate.model",
    "generate.revision",
    "generate.num_inference_steps",
    "generate.guidance_scale",
    "generate.resolution",
    "generate.width",
    "generate.height",
    "generate.dtype",
    "generate.batch_size",
    "generate.device",
    "score.scorers",
    "score.annotator",
)
"""What an evaluation may change; it sets candidates, seeds and LoRA itself."""

Folder = Annotated[
    Path | None, output_option("Folder for images and figures; TUNED/evaluation if not given.")
]


def enter(app: typer.Typer) -> None:
    """Add the command to the command line."""
    example = "invdpo eval tuned --output evaluation --num-prompts 24"
    command(app, "eval", *SAMPLING, example=example)(evaluate)


def evaluate(job: Job, tuned: Tuned, output: Folder = None) -> None:
    """Compare a tuned model with its base on held-out prompts."""
    from invdpo.curate.evaluation.compare import EvaluatedModel, evaluate_models
    from invdpo.curate.evaluation.grid import write_grid
    from invdpo.curate.runner import RunOptions

    config = job.config()
    if config.generate.models:
        raise ConfigError("generate.model: found several; the base to compare with is one model.")
    base = EvaluatedModel(config.generate.model, config.generate.revision)
    tuned_model = _tuned_model(tuned, base)
    folder = output or (tuned if tuned.is_dir() else tuned.parent) / "evaluation"
    evaluation = evaluate_models(folder, config, base, tuned_model, RunOptions())
    write_grid(folder / "grid.png", evaluation.results[:GRID])
    data = {"folder": str(folder), "grid": str(folder / "grid.png"), "figures": evaluation.rows()}
    _write_figures(folder / "evaluation.json", data)
    job.out.result(data, _comparison_table(evaluation, folder))


def _tuned_model(path: Path, base: EvaluatedModel) -> EvaluatedModel:
    """A folder that holds a pipeline is a model; anything else is a LoRA on the base model."""
    from invdpo.curate.evaluation.compare import EvaluatedModel

    if not path.exists():
        raise DataError(f"{path}: no such folder. Give what `invdpo train` wrote to its --output.")
    if (path / "model_index.json").exists():
        return EvaluatedModel(str(path))
    return EvaluatedModel(base.model, base.revision, lora=str(path))


def _write_figures(path: Path, data: dict[str, Any]) -> None:
    from invdpo.curate.storage.atomic import replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _comparison_table(evaluation: Evaluation, folder: Path) -> str:
    header = ("figure", "base", "tuned", "difference", "95 % interval", "better", "worse", "p")
    rows = [
        (
            name,
            c.base.value,
            c.tuned.value,
            f"{c.difference.value:+.3f}",
            f"{c.difference.low:+.3f} … {c.difference.high:+.3f}",
            c.better,
            c.worse,
            c.p_value,
        )
        for name, c in evaluation.comparisons.items()
    ]
    return f"{table(header, rows)}\n\nImages, base beside tuned: {folder / 'grid.png'}"
