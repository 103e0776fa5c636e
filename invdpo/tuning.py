"""`invdpo train` and `invdpo eval`: tune a model on pairs, and see whether it got better."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.command import Job, command
from invdpo.here import check_here
from invdpo.output import table
from invdpo.schemas import DataError
from invdpo.schemas.config import TrainConfig

if TYPE_CHECKING:
    from invdpo.curate.evaluation import Evaluation, ModelSpec
    from invdpo.train import TrainResult

EMBEDDED = "embedded"
SAMPLING = (
    "eval", "prompts.source", "prompts.path", "generate.model", "generate.revision",
    "generate.num_inference_steps", "generate.guidance_scale", "generate.width",
    "generate.height", "generate.dtype", "generate.batch_size", "generate.device",
    "score.scorers", "score.annotator",
)  # fmt: skip
"""What an evaluation may change; candidates, seeds and LoRA are its own business."""
LEADS = os.environ.get("RANK", "0") == "0"
"""Whether this process speaks for those that a launcher started together."""
GRID = 12
"""Prompts in the picture grid."""

Dataset = Annotated[
    str, typer.Argument(help="Folder, Parquet file, or OWNER/NAME on the Hub.", metavar="DATASET")
]
Tuned = Annotated[
    Path, typer.Argument(help="LoRA (folder or file) or model folder.", metavar="TUNED")
]
Weights = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder for the weights. Needed, save for a check.",
                 metavar="FOLDER", show_default=False),
]  # fmt: skip
CacheDir = Annotated[
    Path | None,
    typer.Option(help="Trajectory cache, shared by runs; beside the output when not given.",
                 metavar="FOLDER", show_default=False),
]  # fmt: skip
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Tell rows, bytes, time and memory; write nothing."),
]
CheckInversion = Annotated[
    bool,
    typer.Option("--check-inversion", help="Tell whether the grid is fine enough; train nothing."),
]
CheckImages = Annotated[
    int, typer.Option(help="Pictures that --check-inversion looks at.", min=1, metavar="INTEGER")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Throw away the training in the output; begin anew.")
]
PushTo = Annotated[
    str | None,
    typer.Option("--push-to-hub", help="Push weights, card and curves to this model on the Hub.",
                 metavar="OWNER/NAME", show_default=False),
]  # fmt: skip
Private = Annotated[
    bool, typer.Option("--private", help="Make the model on the Hub a private one.")
]
Folder = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder for pictures and figures; in TUNED if not given.",
                 metavar="FOLDER", show_default=False),
]  # fmt: skip


def enter(app: typer.Typer) -> None:
    """Add both commands to the command line."""
    train_example = "invdpo train work/dataset --output tuned --learning-rate 5e-5"
    command(app, "train", "train", example=train_example)(train)
    eval_example = "invdpo eval tuned --output evaluation --num-prompts 24"
    command(app, "eval", *SAMPLING, example=eval_example)(evaluate)


def train(
    job: Job,
    dataset: Dataset,
    output: Weights = None,
    cache_dir: CacheDir = None,
    dry_run: DryRun = False,
    check_inversion: CheckInversion = False,
    check_images: CheckImages = 8,
    restart: Restart = False,
    push_to_hub: PushTo = None,
    private: Private = False,
) -> None:
    """Tune a model on pairs with Inversion-DPO or a baseline."""
    if private and not push_to_hub:
        raise typer.BadParameter("only with --push-to-hub.", param_hint="--private")
    check_here(dataset)
    config = job.config(Path(dataset).parent / "invdpo.yaml").train
    if check_inversion:
        _check(job, dataset, _located(config), check_images)
        return
    if output is None:
        raise typer.BadParameter("not given; name a folder for the weights.", param_hint="--output")
    if push_to_hub and LEADS:
        _check_push(job, dataset, output, config, push_to_hub, private)
    if dry_run:
        _plan(job, dataset, output, _located(config), cache_dir)
        return
    from invdpo.train import train as tune

    result = tune(dataset, output, _located(config), cache_dir=cache_dir, restart=restart)
    if LEADS:
        _finish(job, dataset, config, result, push_to_hub, private)


def _check_push(
    job: Job, dataset: str, output: Path, config: TrainConfig, repo_id: str, private: bool
) -> None:
    """Find out before the training whether its result could be pushed."""
    from invdpo.cards import draft_card
    from invdpo.hub import check_push

    draft = draft_card(dataset, output, config, repo_id)
    job.out.note(f"To be pushed to {check_push(repo_id, private=private, card=draft)}")


def _finish(
    job: Job,
    dataset: str,
    config: TrainConfig,
    result: TrainResult,
    repo_id: str | None,
    private: bool,
) -> None:
    """Write the card, push if asked to, and tell what came out."""
    from invdpo.cards import write_model_card

    write_model_card(dataset, config, result, repo_id)
    pushed = _push(result.output, repo_id, private) if repo_id else {}
    job.out.result(result.to_dict() | pushed, _trained(result, **pushed))
    job.out.note(f"Next: invdpo eval {shlex.quote(str(result.output))}")


def _check(job: Job, dataset: str, config: TrainConfig, images: int) -> None:
    from invdpo.foresight import judged
    from invdpo.train.check import check_inversion

    found = check_inversion(dataset, config, images)
    job.out.result(found.to_dict(), judged(found))


def _plan(
    job: Job, dataset: str, output: Path, config: TrainConfig, cache_dir: Path | None
) -> None:
    from invdpo.foresight import planned
    from invdpo.train.estimate import estimate

    found = estimate(dataset, output, config, cache_dir=cache_dir)
    job.out.result(found.to_dict(), planned(found))
    job.out.note("Nothing was written.")


def _located(config: TrainConfig) -> TrainConfig:
    """The configuration with the folder of the bundled model in place of its name."""
    if config.model != EMBEDDED:
        return config
    from invdpo.curate.shapes import bundle

    return config.model_copy(update={"model": str(bundle.model_path())})


def _push(output: Path, repo_id: str, private: bool) -> dict[str, str]:
    """Push the tuned model; where it is then. Raises `HubError` that says what is not lost."""
    from invdpo.hub import push_folder
    from invdpo.hub_errors import HubError
    from invdpo.hub_files import model_files

    try:
        url = push_folder(output, repo_id, patterns=model_files(output), private=private)
    except HubError as error:
        raise HubError(
            f"{error}\nThe tuned weights are in {output}. "
            "The same command pushes again, without training again."
        ) from None
    return {"hub": url}


def _trained(result: TrainResult, hub: str | None = None) -> str:
    loss = "none" if result.best_loss is None else f"{result.best_loss:.4f}"
    rows = [
        ("weights", str(result.output)),
        ("pairs", f"{result.pairs:,} to train on, {result.validation_pairs:,} for validation"),
        ("steps", f"{result.steps:,}; the weights are those of step {result.best_step:,}"),
        ("validation loss", loss),
        ("seconds", f"{result.cache_seconds:.1f} for trajectories, {result.seconds:.1f} for steps"),
    ]
    rows += [("on the Hub", hub)] if hub else []
    return "\n".join(f"{name:<16} {value}" for name, value in rows)


def evaluate(job: Job, tuned: Tuned, output: Folder = None) -> None:
    """Compare a tuned model with its base on held-out prompts."""
    from invdpo.curate.evaluation import ModelSpec, evaluate_models
    from invdpo.curate.grid import write_grid
    from invdpo.curate.runner import RunOptions

    config = job.config()
    base = ModelSpec(config.generate.model, config.generate.revision)
    found = _tuned(tuned, base)
    folder = output or (tuned if tuned.is_dir() else tuned.parent) / "evaluation"
    evaluation = evaluate_models(folder, config, base, found, RunOptions())
    write_grid(folder / "grid.png", evaluation.results[:GRID])
    data = {"folder": str(folder), "grid": str(folder / "grid.png"), "figures": evaluation.rows()}
    _write_figures(folder / "evaluation.json", data)
    job.out.result(data, _compared(evaluation, folder))


def _tuned(path: Path, base: ModelSpec) -> ModelSpec:
    """A folder with a pipeline in it is a model; anything else is a LoRA on the base model."""
    from invdpo.curate.evaluation import ModelSpec

    if not path.exists():
        raise DataError(f"{path}: no such folder. Give what `invdpo train` wrote to its --output.")
    if (path / "model_index.json").exists():
        return ModelSpec(str(path))
    return ModelSpec(base.model, base.revision, lora=str(path))


def _write_figures(path: Path, data: dict[str, Any]) -> None:
    from invdpo.curate.parts import replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _compared(evaluation: Evaluation, folder: Path) -> str:
    header = ("figure", "base", "tuned", "difference", "95 % interval", "better", "worse", "p")
    rows = [
        (name, c.base.value, c.tuned.value, f"{c.difference.value:+.3f}",
         f"{c.difference.low:+.3f} … {c.difference.high:+.3f}", c.better, c.worse, c.p_value)
        for name, c in evaluation.comparisons.items()
    ]  # fmt: skip
    return f"{table(header, rows)}\n\nPictures, base beside tuned: {folder / 'grid.png'}"
