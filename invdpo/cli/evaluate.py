"""`invdpo eval`: compare a tuned model with its base on held-out prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.cli.arguments import output_option
from invdpo.cli.command import Job, command
from invdpo.cli.output import table
from invdpo.schemas import ConfigError, DataError, ModelError
from invdpo.trained import BaseModel, Training, find_base, prompts_seen, read_training

if TYPE_CHECKING:
    from invdpo.curate.evaluation.compare import Evaluation
    from invdpo.schemas.config import Config

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
    "generate.pipeline_options",
    "generate.resolution",
    "generate.width",
    "generate.height",
    "generate.dtype",
    "generate.batch_size",
    "generate.device",
    "score.scorers",
    "score.annotator",
    "score.clip_model",
    "score.clip_pretrained",
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
    from invdpo.curate.evaluation.compare import (
        EvaluatedModel,
        evaluate_models,
        lock_evaluation,
    )
    from invdpo.curate.evaluation.grid import write_grid
    from invdpo.curate.evaluation.preparation import TrainingPrompts
    from invdpo.curate.runner import RunOptions

    config, is_pipeline, training = job.config(), _is_pipeline(tuned), read_training(tuned)
    base_model = find_base(tuned, training, _named_base(job, config, training))
    base = EvaluatedModel(base_model.model, base_model.revision)
    tuned_model = EvaluatedModel(str(tuned)) if is_pipeline else replace(base, lora=str(tuned))
    folder = output or (tuned if tuned.is_dir() else tuned.parent) / "evaluation"
    seen = TrainingPrompts(training.dataset, prompts_seen(training)) if training else None
    if not (seen and seen.keys):
        job.out.note("The prompts of the training aren't known, so none can be told to be of it.")
    grid, options = folder / "grid.png", RunOptions()
    with lock_evaluation(folder):
        evaluation = evaluate_models(folder, config, base, tuned_model, options, seen, job.words)
        write_grid(grid, evaluation.results[:GRID])
        data = {
            "folder": str(folder),
            "grid": str(grid),
            "base": str(base_model),
            "figures": evaluation.rows(),
            "notes": list(evaluation.notes),
        }
        _write_figures(folder / "evaluation.json", data)
    job.out.result(data, _comparison_table(evaluation, folder))


def _named_base(job: Job, config: Config, training: Training | None) -> BaseModel | None:
    """The base model that a flag or `--config` names; a preset's, where no report tells it."""
    given = job.own_config().generate if training else config.generate
    if given.models:
        raise ConfigError("generate.model: found several; the base to compare with is one model.")
    return BaseModel(given.model, given.revision) if "model" in given.model_fields_set else None


def _is_pipeline(tuned: Path) -> bool:
    """Whether it is a whole model, and no LoRA. Raises an error for what is neither."""
    from invdpo.curate.checkpoints.pipelines import check_pipeline, find_lora

    what = "Give what `invdpo train` wrote to its --output."
    if not tuned.exists():
        raise DataError(f"{tuned}: no such folder. {what}")
    is_pipeline = (tuned / "model_index.json").exists()
    try:
        if is_pipeline:
            check_pipeline(tuned)
        else:
            find_lora(str(tuned))
    except ModelError as error:
        raise ModelError(f"{error} {what}") from None
    return is_pipeline


def _write_figures(path: Path, data: dict[str, Any]) -> None:
    from invdpo.curate.storage.atomic import replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _comparison_table(evaluation: Evaluation, folder: Path) -> str:
    header = (
        "figure",
        "prompts",
        "base",
        "tuned",
        "difference",
        "95 % interval",
        "better",
        "worse",
        "p",
    )
    counts = {row["figure"]: row["prompts"] for row in evaluation.rows()}
    rows = [
        (
            name,
            counts[name],
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
