"""`invdpo curate push` and `pull`: a data set to the Hub, and back with its workspace."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.arguments import check_here
from invdpo.cli.command import Job, command
from invdpo.cli.output import table
from invdpo.schemas.io.text import format_bytes

if TYPE_CHECKING:
    from invdpo.hub.pull import Pulled
    from invdpo.hub.push import PushResult

DATASET = "Workspace, whose tables go along; or the folder of a data set, which goes alone."
Dataset = Annotated[Path, typer.Argument(help=DATASET, metavar="DATASET")]
Repo = Annotated[
    str, typer.Option("--repo", help="Data set on the Hub; made if missing.", metavar="OWNER/NAME")
]
Private = Annotated[bool, typer.Option("--private", help="Make it a private one.")]
Revision = Annotated[
    str | None,
    typer.Option(
        help="Branch, made if missing; the main one if not given.",
        metavar="NAME",
        show_default=False,
    ),
]
CreatePr = Annotated[
    bool, typer.Option("--create-pr", help="Open a pull request instead of changing the branch.")
]
Candidates = Annotated[
    bool,
    typer.Option("--with-candidates", help="With the pictures of all candidates, to pair anew."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check all, tell files and bytes, change nothing.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace another data set that is there.")]
At = Annotated[
    str | None,
    typer.Option(
        "--revision",
        help="Branch, tag or commit; the main branch if not given.",
        metavar="NAME",
        show_default=False,
    ),
]
Source = Annotated[str, typer.Argument(help="Data set on the Hub.", metavar="OWNER/NAME")]
Output = Annotated[Path, typer.Argument(help="Folder for it; made new.", metavar="OUTPUT")]


def enter(app: typer.Typer) -> None:
    """Add both commands to `invdpo curate`."""
    command(app, "push", example="invdpo curate push work --repo lab/shapes-pairs --private")(push)
    command(app, "pull", example="invdpo curate pull lab/shapes-pairs pulled")(pull)


def push(
    job: Job,
    dataset: Dataset,
    repo: Repo,
    private: Private = False,
    revision: Revision = None,
    create_pr: CreatePr = False,
    with_candidates: Candidates = False,
    dry_run: DryRun = False,
    force: Force = False,
) -> None:
    """Push a data set to the Hub, and see that it has arrived."""
    from invdpo.hub.push import PushOptions, push_set

    if create_pr and revision:
        raise typer.BadParameter("not together with --revision.", param_hint="--create-pr")
    check_here(dataset)
    options = PushOptions(
        private=private,
        revision=revision,
        create_pr=create_pr,
        candidates=with_candidates,
        dry_run=dry_run,
        force=force,
    )
    done = push_set(dataset, repo, options, job.out.note)
    job.out.result({"dry_run": dry_run, **done.to_dict()}, _pushed(done, dry_run))
    if dry_run:
        job.out.note("Nothing was sent.")
    elif done.workspace:
        job.out.note(f"To bring it back: invdpo curate pull {shlex.quote(repo)} OUTPUT")


def _pushed(done: PushResult, dry_run: bool) -> str:
    plan, would = done.plan, "would be " if dry_run else ""
    rows = [
        (f"{would}sent", len(plan.send), sum(p.size for p in plan.send)),
        (f"{would}kept", len(plan.keep), sum(p.size for p in plan.keep)),
        (f"{would}removed", len(plan.remove), None),
    ]
    return f"{table(('files', 'number', 'bytes'), rows)}\n\n{done.pairs:,} pairs: {done.url}"


def pull(job: Job, source: Source, output: Output, revision: At = None) -> None:
    """Bring a pushed data set back, with its workspace."""
    from invdpo.hub.pull import pull_set

    done = pull_set(source, output, revision, job.out.note)
    job.out.result(done.to_dict(), _pulled(done))
    if done.workspace and not done.candidates:
        job.out.note("Only candidates in pairs have their pictures; `push --with-candidates`.")
    job.out.note(f"Next: invdpo train {shlex.quote(str(output / 'dataset'))} --output tuned")


def _pulled(done: Pulled) -> str:
    what = "data set and workspace" if done.workspace else "data set"
    return f"{done.pairs:,} pairs, {format_bytes(done.bytes)}: {what} in {done.output}"
