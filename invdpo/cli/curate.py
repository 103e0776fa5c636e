"""`invdpo curate`: from prompts to a preference data set, one step or all of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.command import Job, Shared, command
from invdpo.cli.output import table

if TYPE_CHECKING:
    from invdpo.curate.runner import RunOptions, StepResult
    from invdpo.curate.workspace import Workspace
    from invdpo.schemas.config import Config

app = typer.Typer(
    help="Make a data set of preference pairs, step by step.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

Work = Annotated[str, typer.Argument(help="Workspace: a folder, or s3://…", metavar="WORK")]
SIZES = "Prompts a part of candidates; fits the batch when not given."
ORDER = ("prompts", "generate", "annotate", "score", "pair")


@dataclass(frozen=True)
class Stepping(Shared):
    """Flags of every step."""

    engine: Annotated[str, typer.Option(help="What runs the parts.", metavar="NAME")] = "local"
    part_size: Annotated[int | None, typer.Option(help=SIZES, min=1, metavar="INTEGER")] = None
    repair: Annotated[bool, typer.Option("--repair", help="Remake damaged parts.")] = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remake what another configuration made.")
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, say what would be made, make nothing.")
    ] = False


@command(
    app,
    "prompts",
    "prompts",
    shared=Stepping,
    example="invdpo curate prompts work --num-prompts 24",
)
def prompts(job: Job, work: Work) -> None:
    """Sample prompts and their scene graphs, or read them."""
    _steps(job, work, "prompts")


@command(
    app,
    "generate",
    "generate",
    shared=Stepping,
    example="invdpo curate generate work --num-candidates 6",
)
def generate(job: Job, work: Work) -> None:
    """Draw candidates for every prompt, each with its own seed."""
    _steps(job, work, "generate")


@command(
    app,
    "annotate",
    "annotate",
    shared=Stepping,
    example="invdpo curate annotate work --annotators shapes",
)
def annotate(job: Job, work: Work) -> None:
    """Read a scene graph off every candidate."""
    _steps(job, work, "annotate")


@command(
    app,
    "score",
    "score",
    shared=Stepping,
    example="invdpo curate score work --scorers composition,clip",
)
def score(job: Job, work: Work) -> None:
    """Judge every candidate by each scorer."""
    _steps(job, work, "score")


@command(
    app,
    "pair",
    "pair",
    "dataset",
    shared=Stepping,
    example="invdpo curate pair work --weight composition=1 --weight clip=0.25",
)
def pair(job: Job, work: Work) -> None:
    """Cut winner/loser pairs and write the data set."""
    _steps(job, work, "pair")


@command(
    app,
    "run",
    *ORDER,
    "dataset",
    shared=Stepping,
    example="invdpo curate run work --num-prompts 24 --num-candidates 6",
)
def run(job: Job, work: Work) -> None:
    """All five steps; what is done is not done again."""
    _steps(job, work, *ORDER)


def _steps(job: Job, work: str, *names: str) -> None:
    """Run some steps and show what each came to."""
    from invdpo.curate.runner import RunOptions
    from invdpo.curate.workspace import Workspace

    ws, shared = Workspace(work), job.shared
    config = job.config(*ws.configs())
    options = RunOptions(
        repair=shared.repair,
        overwrite=shared.overwrite,
        dry_run=shared.dry_run,
        engine=shared.engine,
        part_size=shared.part_size,
    )
    results: list[StepResult] = []
    for name in names:
        if options.dry_run and any(result.planned for result in results):
            job.out.note(f"{name}: can be planned once the steps before it are done.")
            continue
        found = _step(name, ws, config, options)
        results += found
        for result in found:
            _tell(job, result)
    data = {"workspace": work, "steps": [result.to_dict() for result in results]}
    job.out.result(data, _summary(results))
    if not options.dry_run:
        if names[-1] == "pair":
            job.out.note(f"See what was chosen: invdpo report {shlex.quote(str(work))}")
        job.out.note(f"Next: {_next(names[-1], work)}")


def _step(name: str, ws: Workspace, config: Config, options: RunOptions) -> list[StepResult]:
    from invdpo.curate import steps

    function = steps.make_prompts if name == "prompts" else getattr(steps, name)
    found = function(ws, config, options)
    return found if isinstance(found, list) else [found]


def _tell(job: Job, result: StepResult) -> None:
    """Notes and reasons of one step, when it has some."""
    for note in result.notes:
        job.out.note(f"{result.step}: {note}")
    for reason, count in result.rejections.items():
        job.out.note(f"{result.step}: {count:,} rejected: {reason}")


def _summary(results: Sequence[StepResult]) -> str:
    header = ("step", "made", "done before", "to do", "rejected", "seconds", "where")
    return table(
        header,
        [
            (r.step, r.made, r.resumed, r.planned, r.rejected, round(r.seconds, 1), r.path)
            for r in results
        ],
    )


def _next(name: str, work: str) -> str:
    """The command that goes on from a step."""
    folder = shlex.quote(work)
    follow = dict(pairwise(ORDER))
    if name in follow:
        return f"invdpo curate {follow[name]} {folder}"
    dataset = shlex.quote(f"{work.rstrip('/')}/dataset")
    if "://" in work:
        return f"copy {dataset} to this machine, and there: invdpo train dataset --output tuned"
    return f"invdpo train {dataset} --output tuned"
