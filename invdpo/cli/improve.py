"""`invdpo improve`: rounds of generating, judging, pairing and training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.cli.arguments import DryRun, Tflops, check_tflops
from invdpo.cli.command import CommonOptions, Job, command
from invdpo.console.output import table
from invdpo.options import section_class
from invdpo.schemas.config.improve import SET_BY_ROUNDS
from invdpo.schemas.config.load import load_config
from invdpo.schemas.config.section import marks

if TYPE_CHECKING:
    from invdpo.rounds.run import Improvement
    from invdpo.schemas.config import Config

SECTIONS = ("prompts", "generate", "annotate", "score", "pair", "dataset", "train")
FLAGS = (
    "improve",
    *(
        f"{section}.{name}"
        for section in SECTIONS
        for name, info in section_class(section).model_fields.items()
        if name not in SET_BY_ROUNDS.get(section, ()) and not marks(info).get("hidden")
    ),
)

Root = Annotated[Path, typer.Argument(help="Folder of the rounds.", metavar="WORK")]


@dataclass(frozen=True)
class RoundOptions(CommonOptions):
    """How the rounds are run; none of it changes what comes out."""

    engine: Annotated[
        str,
        typer.Option(help="Engine that runs the parts of curation: local or ray.", metavar="NAME"),
    ] = "local"
    part_size: Annotated[
        int | None,
        typer.Option(help="Prompts per part of the work.", min=1, metavar="INTEGER"),
    ] = None
    repair: Annotated[bool, typer.Option("--repair", help="Remake damaged parts.")] = False
    retry_rejected: Annotated[
        bool,
        typer.Option(
            "--retry-rejected",
            help="Remake parts with rows that were rejected, of a round not trained yet.",
        ),
    ] = False
    change_options: Annotated[
        bool,
        typer.Option(
            "--change-options",
            help="Let the next rounds have other options than those that are done.",
        ),
    ] = False


def enter(app: typer.Typer) -> None:
    """Add the command to the command line."""
    example = "invdpo improve improved --rounds 2 --num-prompts 64 --num-candidates 6"
    command(app, "improve", *FLAGS, common=RoundOptions, example=example)(improve)


def improve(job: Job, work: Root, dry_run: DryRun = False, tflops: Tflops = None) -> None:
    """Improve a model in rounds: generate, score, pair, train; repeat with the new model."""
    check_tflops(tflops, dry_run)
    from invdpo.curate.runner import RunOptions
    from invdpo.rounds.run import improve as run_rounds

    record = work / "invdpo.yaml"
    config = with_defaults(job.config(record), record)
    common = job.common
    options = RunOptions(
        repair=common.repair,
        retry_rejected=common.retry_rejected,
        engine=common.engine,
        part_size=common.part_size,
    )
    if dry_run:
        _estimate(job, work, config, tflops)
        return
    note, changing = job.out.note, common.change_options
    improvement = run_rounds(
        work, config, options, note, change_options=changing, command=job.words
    )
    job.out.result(to_dict(improvement), summary(improvement))
    if improvement.best.number:
        job.out.note(f"Next: {next_command(improvement)}")


def with_defaults(config: Config, record: Path) -> Config:
    """The configuration with what suits rounds where nobody chose otherwise.

    A round has few pairs for validation, and the next one generates with the last step's model.
    Rounds that were begun go on with what their `record` of all options says.
    """
    if "keep" in config.train.model_fields_set:
        return config
    keep = load_config(record).train.keep if record.exists() else "last"
    return config.model_copy(update={"train": config.train.model_copy(update={"keep": keep})})


def _estimate(job: Job, work: Path, config: Config, tflops: float | None) -> None:
    from invdpo.rounds.estimate import estimate
    from invdpo.rounds.estimate_text import estimate_text

    changing = job.common.change_options
    result = estimate(work, config, tflops, change_options=changing, command=job.words)
    job.out.result(result.to_dict(), estimate_text(result))
    job.out.note("Nothing was written.")


def to_dict(improvement: Improvement) -> dict[str, Any]:
    """The result in JSON's types, without the figures of every prompt."""
    return {
        "folder": str(improvement.plan.root),
        "best_round": improvement.best.number,
        "stopped": improvement.stopped or None,
        "warning": improvement.warning or None,
        "rounds": improvement.rows(),
    }


def summary(improvement: Improvement) -> str:
    """One line for each model, and which of them is the best."""
    rows = improvement.rows()
    figures = list(rows[0]["figures"])
    guided = any(row["guidance_scale"] is not None for row in rows)
    own = ("diversity", "pairs", "prompts with a pair", "minutes")
    header = ("round", *["guidance"] * guided, *figures, *own)
    lines = [
        (
            row["round"] or "base",
            *([f"{row['guidance_scale']:g}"] if guided else []),
            *(_interval(row["figures"][name]) for name in figures),
            "–" if row["diversity"] is None else f"{row['diversity']:.3f}",
            row["pairs"] if row["round"] else "–",
            f"{row['prompts_with_pair']} of {row['prompts']}" if row["round"] else "–",
            f"{row['seconds'] / 60:.1f}",
        )
        for row in rows
    ]
    text = table(header, lines)
    for number, changes in improvement.changes.items():
        text += "".join(f"\nFrom round {number} on: {change}" for change in changes)
    if improvement.warning:
        text += f"\n\n{improvement.warning}"
    if improvement.stopped:
        text += f"\n\nStopped: {improvement.stopped}"
    best = improvement.best
    where = improvement.plan.tuned(best.number) if best.number else "the base model itself"
    text += f"\n\nBest on the validation prompts: {best.number or 'base'} ({where})"
    (gain,) = (row["gain"] for row in rows if row["round"] == best.number)
    if gain:
        text += f", {figures[0]} {gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
        if gain["low"] <= 0 <= gain["high"]:
            text += ": no clear gain over the base model"
    return text


def next_command(improvement: Improvement) -> str:
    """The evaluation of the best model on held-out prompts, sampled and judged as in the rounds."""
    from invdpo.trained import BaseModel, evaluation_command

    plan = improvement.plan
    base = BaseModel(plan.config.generate.model, plan.config.generate.revision)
    tuned, record = plan.tuned(improvement.best.number), plan.root / "invdpo.yaml"
    return evaluation_command(tuned, plan.config, record, base) + _guidance(improvement)


def _guidance(improvement: Improvement) -> str:
    """The flags by which an evaluation has the best model and the base as they were compared."""
    best, base = improvement.best.guidance_scale, improvement.results[0].guidance_scale
    if best is None or base is None:
        return ""
    return f" --guidance-scale {best:g}" + f" --base-guidance-scale {base:g}" * (best != base)


def _interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
