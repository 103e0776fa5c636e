"""`invdpo train` and `invdpo eval`: tune a model on pairs, and see whether it got better.

MERGED: What `invdpo train --dry-run` and `--check-inversion` print.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.arguments import check_here
from invdpo.cli.command import Job, command
from invdpo.cli.output import table
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.text import format_seconds

if TYPE_CHECKING:
    from invdpo.train import TrainResult
    from invdpo.train.diagnostics.estimate import Estimate
    from invdpo.train.diagnostics.inversion_check import InversionCheck
    from invdpo.train.diagnostics.timing import Measured


EMBEDDED = "embedded"

LEADS = os.environ.get("RANK", "0") == "0"
"""Whether this process speaks for those that a launcher started together."""


Dataset = Annotated[
    str, typer.Argument(help="Folder, Parquet file, or OWNER/NAME on the Hub.", metavar="DATASET")
]

Weights = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for the weights. Needed, save for a check.",
        metavar="FOLDER",
        show_default=False,
    ),
]

CacheDir = Annotated[
    Path | None,
    typer.Option(
        help="Trajectory cache, shared by runs; beside the output when not given.",
        metavar="FOLDER",
        show_default=False,
    ),
]

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
    typer.Option(
        "--push-to-hub",
        help="Push weights, card and curves to this model on the Hub.",
        metavar="OWNER/NAME",
        show_default=False,
    ),
]

Private = Annotated[
    bool, typer.Option("--private", help="Make the model on the Hub a private one.")
]


def enter(app: typer.Typer) -> None:
    """Add the command to the command line."""
    example = "invdpo train work/dataset --output tuned --learning-rate 5e-5"
    command(app, "train", "train", example=example)(train)


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
    from invdpo.hub.folder import check_push
    from invdpo.model_card import draft_card

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
    from invdpo.model_card import write_model_card

    write_model_card(dataset, config, result, repo_id)
    pushed = _push(result.output, repo_id, private) if repo_id else {}
    job.out.result(result.to_dict() | pushed, _trained(result, **pushed))
    job.out.note(f"Next: invdpo eval {shlex.quote(str(result.output))}")


def _check(job: Job, dataset: str, config: TrainConfig, images: int) -> None:
    pass
    from invdpo.train.diagnostics.inversion_check import check_inversion

    found = check_inversion(dataset, config, images)
    job.out.result(found.to_dict(), check_rows(found))


def _plan(
    job: Job, dataset: str, output: Path, config: TrainConfig, cache_dir: Path | None
) -> None:
    pass
    from invdpo.train.diagnostics.estimate import estimate

    found = estimate(dataset, output, config, cache_dir=cache_dir)
    job.out.result(found.to_dict(), estimate_rows(found))
    job.out.note("Nothing was written.")


def _located(config: TrainConfig) -> TrainConfig:
    """The configuration with the folder of the bundled model in place of its name."""
    if config.model != EMBEDDED:
        return config
    from invdpo.curate.shapes import bundle

    return config.model_copy(update={"model": str(bundle.model_path())})


def _push(output: Path, repo_id: str, private: bool) -> dict[str, str]:
    """Push the tuned model; where it is then. Raises `HubError` that says what is not lost."""
    from invdpo.hub.errors import HubError
    from invdpo.hub.files import model_files
    from invdpo.hub.folder import push_folder

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


def estimate_rows(found: Estimate) -> str:
    """A dry run's findings, one a line."""
    from invdpo.schemas.io.text import format_bytes

    need = found.lacking
    skipped = ", ".join(f"{count:,} x {why}" for why, count in found.skipped.items())
    rows = [
        ("pairs", f"{found.pairs:,} to train on, {found.validation_pairs:,} for validation"),
        ("skipped", skipped or "none (pictures are not decoded yet)"),
        ("to see", f"{found.images:,} pictures, {found.prompts:,} prompts"),
        ("cache", f"{found.cache}: {format_bytes(found.cached_bytes)} there"),
        (
            "lacking",
            f"{format_bytes(need.bytes)}: {need.trajectories:,} trajectories, {need.images:,} "
            f"pictures, {need.prompts:,} prompts",
        ),
        ("free on disk", format_bytes(found.free_bytes)),
        (
            "UNet forwards",
            f"{found.cache_forwards:,} to fill the cache, {found.train_forwards:,} "
            f"to train, {found.validation_forwards:,} to validate",
        ),
    ]
    if found.measured and found.cache_seconds is not None and found.train_seconds is not None:
        rows += [
            (
                "time",
                f"about {format_seconds(found.cache_seconds)} to fill the cache, "
                f"{format_seconds(found.train_seconds)} to train, from a few real calls here",
            ),
            ("memory", _memory(found.measured)),
        ]
    return "\n".join(f"{name:<16} {value}" for name, value in rows)


def check_rows(found: InversionCheck) -> str:
    """The grids beside each other, and the advice."""
    header = ("steps", "latent error", "PSNR dB", "seconds a picture")
    rows = [(row.steps, row.latent_error, row.psnr, row.seconds) for row in found.rows]
    about = f"{found.images} pictures, guidance {found.guidance:g}, N = {found.configured}"
    return f"{table(header, rows)}\n\n{about}\n{found.advice}"


def _memory(measured: Measured) -> str:
    from invdpo.schemas.io.text import format_bytes

    parts = (measured.weights_bytes, measured.moving_bytes, measured.graph_bytes)
    weights, moving, graph = map(format_bytes, parts)
    return (
        f"{format_bytes(sum(parts))}: UNet {weights}, gradients and optimiser {moving}, "
        f"graph of {measured.samples} samples {graph}"
    )
