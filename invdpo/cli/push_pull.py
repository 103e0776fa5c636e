"""`invdpo curate push` and `pull`: a dataset to the Hub, and back with its workspace."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.arguments import Dataset, DryRun, Private, SetName, named_set, optional
from invdpo.cli.command import Job, command
from invdpo.console.output import table
from invdpo.schemas.io.text import count_noun, format_bytes

if TYPE_CHECKING:
    from invdpo.hub.pull import PullResult
    from invdpo.hub.push import PushResult

Repo = Annotated[
    str,
    typer.Option("--repo", help="Dataset on the Hub; created if missing.", metavar="OWNER/NAME"),
]
Branch = Annotated[
    str | None,
    optional(
        "--revision",
        metavar="NAME",
        help_text="Branch, created if missing; the main branch if not given.",
    ),
]
CreatePr = Annotated[
    bool, typer.Option("--create-pr", help="Open a pull request instead of changing the branch.")
]
Candidates = Annotated[
    bool,
    typer.Option(
        "--with-candidates",
        help="Also push the images of all candidates, so that others can choose pairs again.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace another dataset that is in the repository.")
]
Revision = Annotated[
    str | None,
    optional(
        "--revision",
        metavar="NAME",
        help_text="Branch, tag or commit; the main branch if not given.",
    ),
]
Source = Annotated[str, typer.Argument(help="Dataset on the Hub.", metavar="OWNER/NAME")]
Output = Annotated[Path, typer.Argument(help="New folder to write.", metavar="OUTPUT")]


def enter(app: typer.Typer) -> None:
    """Add both commands to `invdpo curate`."""
    command(app, "push", example="invdpo curate push work --repo lab/shapes-pairs --private")(push)
    command(app, "pull", example="invdpo curate pull lab/shapes-pairs pulled")(pull)


def push(
    job: Job,
    dataset: Dataset,
    repo: Repo,
    private: Private = False,
    revision: Branch = None,
    create_pr: CreatePr = False,
    with_candidates: Candidates = False,
    dry_run: DryRun = False,
    force: Force = False,
    name: SetName = None,
) -> None:
    """Push a dataset to the Hub and check that it arrived.

    The tables of a workspace are pushed too; the folder of a dataset is pushed alone.
    """
    from invdpo.hub.push import PushOptions, push_set

    if create_pr and revision:
        raise typer.BadParameter(
            "can't be given together with --revision.", param_hint="--create-pr"
        )
    options = PushOptions(
        private=private,
        revision=revision,
        create_pr=create_pr,
        candidates=with_candidates,
        dry_run=dry_run,
        force=force,
    )
    result = push_set(named_set(dataset, name), repo, options, job.out.note)
    job.out.result({"dry_run": dry_run, **result.to_dict()}, _push_text(result, dry_run))
    if dry_run:
        job.out.note("Nothing was sent.")
    elif result.workspace:
        job.out.note(f"To download it: invdpo curate pull {shlex.quote(repo)} OUTPUT")


def _push_text(result: PushResult, dry_run: bool) -> str:
    plan, would = result.plan, "would be " if dry_run else ""
    rows = [
        (f"{would}sent", len(plan.send), sum(p.size for p in plan.send)),
        (f"{would}kept", len(plan.keep), sum(p.size for p in plan.keep)),
        (f"{would}removed", len(plan.remove), None),
    ]
    files = table(("files", "number", "bytes"), rows)
    return f"{files}\n\n{count_noun(result.pairs, 'pair')}: {result.url}"


def pull(job: Job, source: Source, output: Output, revision: Revision = None) -> None:
    """Download a pushed dataset, with its workspace."""
    from invdpo.hub.pull import pull_set

    result = pull_set(source, output, revision, job.out.note)
    job.out.result(result.to_dict(), _pull_text(result))
    if result.workspace and not result.candidates:
        job.out.note(
            "Only candidates in pairs have images: the dataset was pushed without "
            "--with-candidates."
        )
    job.out.note(f"Next: invdpo train {shlex.quote(str(output / 'dataset'))} --output tuned")


def _pull_text(result: PullResult) -> str:
    what = "dataset and workspace" if result.workspace else "dataset"
    size = f"{count_noun(result.pairs, 'pair')}, {format_bytes(result.bytes)}"
    return f"{size}: {what} in {result.output}"
