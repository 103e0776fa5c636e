"""`invdpo curate`: from prompts to a preference dataset, one step or all of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.cli.arguments import DryRun, SetName, Work
from invdpo.cli.command import CommonOptions, Job, command
from invdpo.console.output import table
from invdpo.schemas import OfflineError
from invdpo.schemas.config.section import EMBEDDED
from invdpo.workspace import STEPS, run_step

if TYPE_CHECKING:
    from invdpo.curate.runner import StepResult
    from invdpo.schemas.config import Config

app = typer.Typer(
    help="Make a dataset of preference pairs, step by step.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

PART_SIZE = "Prompts per part of the work; chosen to fit the batch if not given."


@dataclass(frozen=True)
class StepOptions(CommonOptions):
    """Flags of every step."""

    engine: Annotated[
        str, typer.Option(help="Engine that runs the parts: local or ray.", metavar="NAME")
    ] = "local"
    part_size: Annotated[int | None, typer.Option(help=PART_SIZE, min=1, metavar="INTEGER")] = None
    repair: Annotated[bool, typer.Option("--repair", help="Remake damaged parts.")] = False
    retry_rejected: Annotated[
        bool,
        typer.Option("--retry-rejected", help="Remake parts with rows that were rejected."),
    ] = False
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace results of another configuration."),
    ] = False
    dry_run: DryRun = False


@command(
    app,
    "prompts",
    "prompts",
    common=StepOptions,
    example="invdpo curate prompts work --num-prompts 24",
)
def prompts(job: Job, work: Work) -> None:
    """Sample prompts with their scene graphs, or read them."""
    _steps(job, work, "prompts")


@command(
    app,
    "generate",
    "generate",
    common=StepOptions,
    example="invdpo curate generate work --num-candidates 6",
)
def generate(job: Job, work: Work) -> None:
    """Generate images for every prompt, each with its own seed."""
    _steps(job, work, "generate")


@command(
    app,
    "annotate",
    "annotate",
    common=StepOptions,
    example="invdpo curate annotate work --annotators shapes",
)
def annotate(job: Job, work: Work) -> None:
    """Read a scene graph from every candidate."""
    _steps(job, work, "annotate")


@command(
    app,
    "score",
    "score",
    common=StepOptions,
    example="invdpo curate score work --scorers composition,clip",
)
def score(job: Job, work: Work) -> None:
    """Score every candidate with each scorer."""
    _steps(job, work, "score")


@command(
    app,
    "pair",
    "pair",
    "dataset",
    common=StepOptions,
    example="invdpo curate pair work --weight composition=1 --weight clip=0.25",
)
def pair(job: Job, work: Work, name: SetName = None) -> None:
    """Choose pairs by their scores and write the dataset."""
    _steps(job, work, "pair", set_name=name)


@command(
    app,
    "run",
    *STEPS,
    "dataset",
    common=StepOptions,
    example="invdpo curate run work --num-prompts 24 --num-candidates 6",
)
def run(job: Job, work: Work) -> None:
    """Run all five steps; finished work is not repeated."""
    _steps(job, work, *STEPS)


def _steps(job: Job, work: str, *names: str, set_name: str | None = None) -> None:
    """Run some steps and show the result of each."""
    from invdpo.curate.runner import RunOptions
    from invdpo.curate.steps import check
    from invdpo.curate.workspace import Workspace

    ws, common = Workspace(work, set_name), job.common
    config = job.config(*ws.config_paths)
    options = RunOptions(
        repair=common.repair,
        retry_rejected=common.retry_rejected,
        overwrite=common.overwrite,
        dry_run=common.dry_run,
        engine=common.engine,
        part_size=common.part_size,
    )
    if len(names) > 1:
        check(ws, config, options, names, job.words)
    results: list[StepResult] = []
    for name in names:
        if options.dry_run and any(result.planned for result in results):
            job.out.note(f"{name}: can be planned only after the previous steps are done.")
            continue
        try:
            finished = run_step(name, ws, config, options)
        except OfflineError as error:
            if not options.dry_run:
                raise
            job.out.note(f"{name}: what is done is not known, so all is counted. {error}")
            continue
        results += finished
        for message in (message for result in finished for message in result.messages()):
            job.out.note(message)
    data: dict[str, Any] = {"workspace": work, "steps": [r.to_dict() for r in results]}
    text = _summary(results)
    if options.dry_run:
        from invdpo.cli.curate_estimate import estimate_text
        from invdpo.curate.diagnostics.estimate import estimate

        expected = estimate(ws, config, names, results)
        data["estimate"] = expected.to_dict()
        text += f"\n\n{estimate_text(expected)}"
    job.out.result(data, text)
    if not options.dry_run:
        if names[-1] == "pair":
            job.out.note(f"See what was chosen: invdpo report {ws.set_words}")
        # what was rejected before is so in the tables of later steps, too
        again = " --retry-rejected" if common.retry_rejected and names[-1] != STEPS[-1] else ""
        job.out.note(f"Next: {_next_command(names[-1], work, config, set_name)}{again}")


def _summary(results: Sequence[StepResult]) -> str:
    header = ("step", "made", "done before", "to do", "rejected", "seconds", "where")
    return table(
        header,
        [
            (r.step, r.made, r.resumed, r.planned, r.rejected, round(r.seconds, 1), r.path)
            for r in results
        ],
    )


def _next_command(name: str, work: str, config: Config, set_name: str | None = None) -> str:
    """The command that follows a step."""
    following = dict(pairwise(STEPS))
    if name in following:
        return f"invdpo curate {following[name]} {shlex.quote(work)}"
    folder = f"{work.rstrip('/')}/pair-sets/{set_name}" if set_name else work.rstrip("/")
    dataset, generate = shlex.quote(f"{folder}/dataset"), config.generate
    options = "--output tuned"
    if "model" not in config.train.model_fields_set and generate.model != EMBEDDED:
        revision = f"@{generate.revision}" if generate.revision else ""
        options += f" --model {shlex.quote(generate.model + revision)}"
    if "://" in work:
        return f"copy {dataset} to this machine, then run: invdpo train dataset {options}"
    return f"invdpo train {dataset} {options}"
