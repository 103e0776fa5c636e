"""`invdpo train`: tune a model on pairs, or say beforehand what it would take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.arguments import (
    DryRun,
    Private,
    SetName,
    Tflops,
    check_tflops,
    named_set,
    optional,
    output_option,
    require_local,
)
from invdpo.cli.command import Job, command
from invdpo.console.output import table
from invdpo.curate.storage.pair_sets import workspace_of
from invdpo.rounds.record import belongs_to_round
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.processes import is_main_process
from invdpo.schemas.io.text import count_noun
from invdpo.trained import evaluation_command
from invdpo.training import train_with_card, training_options, with_model_path
from invdpo.unnamed_model import require_model

if TYPE_CHECKING:
    from invdpo.train import TrainResult
    from invdpo.train.diagnostics.inversion_check import InversionCheck


TrainingData = Annotated[
    str, typer.Argument(help="Folder, Parquet file, or OWNER/NAME on the Hub.", metavar="DATASET")
]
Weights = Annotated[
    Path | None,
    output_option("Folder for the weights. Required except with --dry-run or --check-inversion."),
]
CacheDir = Annotated[
    Path | None,
    optional(
        metavar="FOLDER",
        help_text="Trajectory cache, which several runs may share; beside the output if not given.",
    ),
]
CheckInversion = Annotated[
    bool,
    typer.Option(
        "--check-inversion", help="Test whether the inversion has enough steps; train nothing."
    ),
]
CheckImages = Annotated[
    int, typer.Option(help="Number of images for --check-inversion.", min=1, metavar="INTEGER")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Delete the training in the output and start again.")
]
PushTo = Annotated[
    str | None,
    optional(
        "--push-to-hub",
        metavar="OWNER/NAME",
        help_text="Push weights, card and curves to this model on the Hub.",
    ),
]


def enter(app: typer.Typer) -> None:
    """Add the command to the command line."""
    example = "invdpo train work/dataset --output tuned --learning-rate 5e-5"
    command(app, "train", "train", example=example)(train)


def train(
    job: Job,
    dataset: TrainingData,
    output: Weights = None,
    cache_dir: CacheDir = None,
    dry_run: DryRun = False,
    tflops: Tflops = None,
    check_inversion: CheckInversion = False,
    check_images: CheckImages = 8,
    restart: Restart = False,
    push_to_hub: PushTo = None,
    private: Private = False,
    name: SetName = None,
) -> None:
    """Tune a model on pairs with Inversion-DPO or a baseline."""
    if private and not push_to_hub:
        raise typer.BadParameter("only with --push-to-hub.", param_hint="--private")
    check_tflops(tflops, dry_run)
    if output is None and not (dry_run or check_inversion):
        text = "not given. Name a folder for the weights."
        raise typer.BadParameter(text, param_hint="--output")
    output = output or Path("tuned")
    require_local(dataset)
    dataset = str(named_set(Path(dataset), name) / "dataset") if name else dataset
    record = workspace_of(Path(dataset).parent)[0] / "invdpo.yaml"
    curated = job.config(record)
    config = training_options(curated)
    left_open = require_model(dataset, curated, output)
    if left_open and is_main_process():
        job.out.note(left_open)
    if check_inversion:
        _check_inversion(job, dataset, with_model_path(config), check_images)
        return
    if push_to_hub and is_main_process():
        _check_push(job, dataset, output, config, push_to_hub, private)
    if dry_run:
        _estimate(job, dataset, output, with_model_path(config), cache_dir, tflops)
        return
    from invdpo.train.run import lock_output

    with lock_output(output):  # until everything is pushed
        result = train_with_card(
            dataset, output, config, repo_id=push_to_hub, cache_dir=cache_dir, restart=restart
        )
        if is_main_process():
            _finish(job, dataset, config, result, push_to_hub, private)
            if not belongs_to_round(output):  # `improve` continues by itself
                job.out.note(f"Next: {evaluation_command(result.output, curated, record)}")


def _check_push(
    job: Job, dataset: str, output: Path, config: TrainConfig, repo_id: str, private: bool
) -> None:
    """Find out before the training whether its result could be pushed."""
    from invdpo.hub.folder import check_push
    from invdpo.model_card import draft_card

    draft = draft_card(dataset, output, config, repo_id)
    job.out.note(f"Will be pushed to {check_push(repo_id, private=private, card=draft)}")


def _finish(
    job: Job,
    dataset: str,
    config: TrainConfig,
    result: TrainResult,
    repo_id: str | None,
    private: bool,
) -> None:
    """Push if asked to, and print the result."""
    pushed = {}
    if repo_id:
        prompts = _may_publish_prompts(job, dataset, config, result.output)
        pushed = _push(result.output, repo_id, private, prompts=prompts)
    job.out.result(result.to_dict() | pushed, _result_text(result, **pushed))


def _check_inversion(job: Job, dataset: str, config: TrainConfig, images: int) -> None:
    from invdpo.train.diagnostics.inversion_check import check_inversion

    check = check_inversion(dataset, config, images)
    job.out.result(check.to_dict(), check_text(check))


def _estimate(
    job: Job,
    dataset: str,
    output: Path,
    config: TrainConfig,
    cache_dir: Path | None,
    tflops: float | None,
) -> None:
    from invdpo.curate.scene_graphs.focus import focus_boxes
    from invdpo.train.diagnostics.estimate import estimate
    from invdpo.train.diagnostics.estimate_text import estimate_text

    result = estimate(
        dataset, output, config, cache_dir=cache_dir, focus_boxes=focus_boxes, tflops=tflops
    )
    job.out.result(result.to_dict(), estimate_text(result))
    job.out.note("Nothing was written.")


def _may_publish_prompts(job: Job, dataset: str, config: TrainConfig, output: Path) -> bool:
    """Whether the prompts of the validation images are the dataset's, or named by this command.

    Those of another file, which a configuration may name, are nobody's business.
    """
    from invdpo.hub.files import PICTURE_PROMPTS
    from invdpo.schemas.io.records import read_prompts
    from invdpo.schemas.io.text_files import one_line
    from invdpo.train.splits import open_data

    path, named = output / PICTURE_PROMPTS, job.given.get("train", {}).get("picture_prompts")
    if not path.is_file():
        return False
    lines = set(read_prompts(path))
    lines.difference_update(map(one_line, read_prompts(Path(named)) if named else []))
    if open_data(dataset, config).holds_prompts(lines):
        return True
    job.out.note(
        f"{path} is not pushed: its prompts are neither from the dataset nor given with "
        "--picture-prompts."
    )
    return False


def _push(output: Path, repo_id: str, private: bool, *, prompts: bool) -> dict[str, str]:
    """Push the tuned model; its address. Raises `HubError` that says where the weights are."""
    from invdpo.hub.errors import HubError
    from invdpo.hub.files import model_files
    from invdpo.hub.folder import push_folder

    try:
        url = push_folder(
            output, repo_id, patterns=model_files(output, prompts=prompts), private=private
        )
    except HubError as error:
        raise HubError(
            f"{error}\nThe tuned weights are in {output}. Run the same command again to push "
            "them; it does not train again."
        ) from None
    return {"hub": url}


def _result_text(result: TrainResult, hub: str | None = None) -> str:
    loss = "none" if result.best_loss is None else f"{result.best_loss:.4f}"
    rows = [
        ("weights", str(result.output)),
        ("pairs", f"{result.pairs:,} to train on, {result.validation_pairs:,} for validation"),
        ("steps", f"{result.steps:,}; the weights are those of step {result.best_step:,}"),
        ("validation loss", loss),
        ("seconds", f"{result.cache_seconds:.1f} for trajectories, {result.seconds:.1f} for steps"),
    ]
    return _lines([*rows, *([("on the Hub", hub)] if hub else [])])


def _lines(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name:<16} {value}" for name, value in rows)


def check_text(check: InversionCheck) -> str:
    """The grids side by side, and the advice."""
    header = ("steps", "latent error", "PSNR dB", "seconds per image")
    rows = [(row.steps, row.latent_error, row.psnr, row.seconds) for row in check.rows]
    setting = (
        f"{count_noun(check.images, 'image')}, guidance {check.guidance:g}, N = {check.configured}"
    )
    return f"{table(header, rows)}\n\n{setting}\n{check.advice}"
