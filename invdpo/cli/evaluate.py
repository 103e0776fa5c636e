"""`invdpo eval`: compare tuned models with their base on held-out prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from invdpo.cli.arguments import output_option
from invdpo.cli.command import Job, command
from invdpo.cli.evaluation_tables import evaluation_text
from invdpo.evaluation import Request, compare_with_base

TUNED = (
    "What `invdpo train` wrote: a LoRA (folder or file) or the folder of a model. Several are "
    "compared with one base, each on the same prompts and seeds."
)

Tuned = Annotated[list[Path] | None, typer.Argument(help=TUNED, metavar="TUNED")]
More = Annotated[
    list[Path] | None,
    typer.Option("--tuned", help="The same, as an option.", metavar="TUNED", show_default=False),
]
Checkpoints = Annotated[
    bool, typer.Option("--checkpoints", help="Also compare the checkpoints of each TUNED.")
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace results of other weights or options."),
]

Export = Annotated[
    str | None,
    typer.Option(
        "--export",
        help="Also write the images in the layout that this benchmark's evaluator reads.",
        metavar="geneval|t2i-compbench",
        show_default=False,
    ),
]

SAMPLING = (
    "eval",
    "prompts.source",
    "prompts.path",
    "prompts.column",
    "prompts.min_objects",
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
    from invdpo.curate.runner import RunOptions

    job.out.follow("invdpo.loading")
    paths, options = [*(tuned or ()), *(more or ())], RunOptions(overwrite=overwrite)
    request = Request(paths, options, output, checkpoints, export)
    config, own = job.config(), job.own_config()
    found = compare_with_base(request, config, own, job.words, note=job.out.note)
    data = found.to_dict()
    job.out.result(data, evaluation_text(found.evaluations, found.base, data))
