"""`invdpo eval`: compare a tuned model with its base on held-out prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from invdpo.cli.arguments import output_option
from invdpo.cli.command import Job, command
from invdpo.cli.output import table
from invdpo.evaluation import Comparison, compare_with_base

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
    "score.plugins",
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
    own = job.own_config()
    found = compare_with_base(tuned, output, job.config(), own, job.words, note=job.out.note)
    job.out.result(found.to_dict(), _comparison_table(found))


def _comparison_table(found: Comparison) -> str:
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
    evaluation = found.evaluation
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
    return f"{table(header, rows)}\n\nImages, base beside tuned: {found.grid}"
