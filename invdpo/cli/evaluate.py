"""`invdpo eval`: compare tuned models with their base on held-out prompts."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.cli.arguments import output_option
from invdpo.cli.command import Job, command
from invdpo.cli.evaluation_tables import evaluation_text
from invdpo.schemas import ConfigError, DataError, ModelError
from invdpo.trained import BaseModel, Training, find_base, prompts_seen, read_training

if TYPE_CHECKING:
    from invdpo.curate.evaluation.models import EvaluatedModel
    from invdpo.curate.evaluation.results import Evaluation
    from invdpo.schemas.config import Config

GRID = 12
"""Prompts in the grid of images."""
PAGE = "index.html"

TUNED = (
    "What `invdpo train` wrote: a LoRA (folder or file) or the folder of a model. Several are "
    "compared with one base, each on the same prompts and seeds."
)

Tuned = Annotated[list[Path] | None, typer.Argument(help=TUNED, metavar="TUNED")]
More = Annotated[
    list[Path] | None,
    typer.Option("--tuned", help="The same as an option.", metavar="TUNED", show_default=False),
]
Checkpoints = Annotated[
    bool, typer.Option("--checkpoints", help="Compare each TUNED's checkpoints as well.")
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace what weights or options made that are others now."),
]

Export = Annotated[
    str | None,
    typer.Option(
        "--export",
        help="Write the images as the judges of this benchmark read them, too.",
        metavar="geneval|t2i-compbench",
        show_default=False,
    ),
]

SAMPLING = (
    "eval",
    "prompts.source",
    "prompts.path",
    "prompts.column",
    "prompts.shuffle",
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
    "annotate",
    "-annotate.annotators",
    "score",
)
"""What an evaluation may change; it sets candidates, seeds and LoRA itself."""

Folder = Annotated[
    Path | None, output_option("Folder for images and figures; TUNED/evaluation if not given.")
]


def enter(app: typer.Typer) -> None:
    """Add the command to the command line."""
    example = "invdpo eval tuned --output evaluation --num-prompts 24"
    command(app, "eval", *SAMPLING, example=example)(evaluate)


def evaluate(
    job: Job,
    tuned: Tuned = None,
    more: More = None,
    checkpoints: Checkpoints = False,
    overwrite: Overwrite = False,
    export: Export = None,
    output: Folder = None,
) -> None:
    """Compare tuned models with their base on held-out prompts."""
    from invdpo.curate.evaluation.benchmark_folders import export_images, find_export
    from invdpo.curate.evaluation.compare import compare_models, lock_evaluation
    from invdpo.curate.runner import RunOptions

    logging.getLogger("invdpo.loading").setLevel(logging.INFO)
    config, given = job.config(), [*(tuned or ()), *(more or ())]
    paths = _with_checkpoints(given) if checkpoints else given
    base, models = _models(job, config, list(dict.fromkeys(paths)))
    folder, options = output or _default_folder(paths), RunOptions(overwrite=overwrite)
    _check_held_out(config)
    write = find_export(export, config.prompts) if export else None
    with lock_evaluation(folder):
        evaluations = compare_models(folder, config, base, models, options, job.words)
        data = _write(folder, base.name, evaluations, config.eval.held_out)
        if export and write:
            data["export"] = export_images(folder / export, write, base.name, evaluations)
        _write_figures(folder / "evaluation.json", data)
    job.out.result(data, evaluation_text(evaluations, base.name, data))


def _check_held_out(config: Config) -> None:
    name, scorers = config.eval.held_out, config.score.scorers
    if name is not None and name not in scorers:
        raise ConfigError(
            f"eval.held_out: found {name}, which is not among the scorers: {', '.join(scorers)}. "
            f"Name one of them, or add it: --scorers {','.join([*scorers, name])}"
        )


def _with_checkpoints(given: Sequence[Path]) -> list[Path]:
    """Each model and, before it, the weights that its training kept on the way."""
    paths = []
    for path in given:
        kept = sorted((path / "checkpoints").glob("step-*"))
        if not kept:
            text = f"{path}: no checkpoints/step-… in it; `invdpo train --save-every` keeps them"
            raise DataError(f"{text}. Leave out --checkpoints.")
        paths += [*kept, path]
    return paths


def _default_folder(paths: Sequence[Path]) -> Path:
    """Of several checkpoints that of their training."""
    first = paths[0] if paths[0].is_dir() else paths[0].parent
    of_training = len(paths) > 1 and first.parent.name == "checkpoints"
    return (first.parents[1] if of_training else first) / "evaluation"


def _models(
    job: Job, config: Config, paths: Sequence[Path]
) -> tuple[EvaluatedModel, list[EvaluatedModel]]:
    """The base and the tuned models. Raises `ConfigError` for none, and for several bases."""
    from invdpo.curate.evaluation.models import EvaluatedModel
    from invdpo.curate.evaluation.preparation import TrainingPrompts

    if not paths:
        raise ConfigError("No model is named. Name what was tuned: invdpo eval TUNED")
    pipelines = [_is_pipeline(path) for path in paths]
    trainings = [read_training(path) for path in paths]
    bases: list[BaseModel] = []
    for path, training in zip(paths, trainings, strict=True):
        known = trainings.index(training)  # checkpoints share the report of their training
        named = _named_base(job, config, training)
        bases.append(bases[known] if known < len(bases) else find_base(path, training, named))
    if other := next((n for n, base in enumerate(bases) if base != bases[0]), None):
        raise ConfigError(
            f"{paths[0]}: tuned from {bases[0]}, but {paths[other]} from {bases[other]}; models "
            "that are compared share one base. Evaluate them apart."
        )
    seen = [TrainingPrompts(t.dataset, prompts_seen(t)) if t else None for t in trainings]
    if not all(one and one.keys for one in seen):
        job.out.note("The prompts of the training aren't known, so none can be told to be of it.")
    base = EvaluatedModel(bases[0].model, bases[0].revision)
    models = [
        replace(EvaluatedModel(str(path)) if whole else replace(base, lora=str(path)), trained_on=s)
        for path, whole, s in zip(paths, pipelines, seen, strict=True)
    ]
    return base, models


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


def _write(
    folder: Path, base: str, evaluations: Sequence[Evaluation], held_out: str | None
) -> dict[str, Any]:
    """Write page, pictures and rows to `folder`; what `evaluation.json` is to say."""
    from invdpo.curate.evaluation.grid import write_grid
    from invdpo.curate.evaluation.page_content import page_of
    from invdpo.curate.evaluation.results_table import write_results
    from invdpo.curate.report.evaluation_page import write_evaluation_page

    grids = [folder / f"grid{f'-{n}' if n > 1 else ''}.png" for n in range(1, len(evaluations) + 1)]
    for grid, evaluation in zip(grids, evaluations, strict=True):
        write_grid(grid, [r for r in evaluation.results if r.number == 0][:GRID])
    results = folder / "results.parquet"
    write_results(results, base, evaluations)
    page = page_of(folder.resolve().name, base, evaluations, held_out)
    write_evaluation_page(page, folder / PAGE)
    return {
        "folder": str(folder),
        "page": str(folder / PAGE),
        "grid": str(grids[0]),
        "results": str(results),
        "base": base,
        "tuned": [evaluation.tuned for evaluation in evaluations],
        "workspaces": {evaluation.workspace: evaluation.tuned for evaluation in evaluations},
        "held_out": held_out,
        "figures": [{"model": e.tuned} | row for e in evaluations for row in e.rows()],
        "categories": [{"model": e.tuned} | row for e in evaluations for row in e.category_rows()],
        "notes": list(dict.fromkeys(note for e in evaluations for note in e.notes)),
    }


def _write_figures(path: Path, data: dict[str, Any]) -> None:
    from invdpo.curate.storage.atomic import replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")
