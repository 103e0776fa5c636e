"""`invdpo curate review`: a page of this machine on which a person judges pairs."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.cli.command import Job, command

if TYPE_CHECKING:
    from invdpo.curate.review.session import Session

DATASET = "Workspace, or the folder of a data set."
Dataset = Annotated[Path, typer.Argument(help=DATASET, metavar="DATASET")]
Port = Annotated[int, typer.Option(help="Port; any that is free if 0.", min=0, max=65535)]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Only print the address.")]
Reviewer = Annotated[
    str | None, typer.Option(help="Your name, for the table.", metavar="NAME", show_default=False)
]
OrderOf = Annotated[
    str, typer.Option(help="random, doubtful (least margin first), or set.", metavar="ORDER")
]
Show = Annotated[
    bool, typer.Option("--show-scores", help="Show sides and scores before a decision, too.")
]
Table = Annotated[
    Path | None,
    typer.Option(
        "--reviews",
        help="Table for the decisions; WORK/reviews.parquet if not given.",
        metavar="FILE",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what there is to do; serve nothing.")]


def enter(app: typer.Typer) -> None:
    """Add the command to `invdpo curate`."""
    command(app, "review", example="invdpo curate review work --reviewer me")(review)


def review(
    job: Job,
    dataset: Dataset,
    reviews: Table = None,
    reviewer: Reviewer = None,
    order: OrderOf = "random",
    show_scores: Show = False,
    port: Port = 0,
    no_browser: NoBrowser = False,
    dry_run: DryRun = False,
) -> None:
    """Judge pairs by eye: keep, flip or drop them, in a browser of this machine."""
    folder, work = _find(dataset)
    table = reviews or (work or folder.parent) / (
        "reviews.parquet" if work else f"{folder.name}.reviews.parquet"
    )
    session = _session(folder, work, table, reviewer, order, show_scores)
    if not dry_run:
        _serve(job, session, port, browser=not no_browser)
    state = session.state()
    counts = {name: state[name] for name in ("total", "decided", "counts")}
    job.out.result({"reviews": str(table), **counts}, _told(state, table))
    if work and state["decided"] and not reviews:
        job.out.note(f"Next: invdpo curate pair {shlex.quote(str(work))} --reviews --overwrite")


def _find(path: Path) -> tuple[Path, Path | None]:
    """The data set, and the workspace that it is in, if it is in one."""
    from invdpo.curate.dataset.folder import DatasetFolder

    folder = DatasetFolder.find(path)
    return folder.path, folder.enclosing_workspace


def _session(
    folder: Path, work: Path | None, table: Path, reviewer: str | None, order: str, shown: bool
) -> Session:
    from invdpo.curate.review.decisions import Decisions
    from invdpo.curate.review.queue import ReviewPairs
    from invdpo.curate.review.session import Session

    pairs = ReviewPairs(folder, order, _worst(work))
    name = (work or folder).resolve().name
    return Session(pairs, Decisions(table, reviewer), name, show_sides=shown)


def _worst(work: Path | None) -> list[str]:
    """Pairs that the report names as worst, those that scorers disagree on first."""
    if work is None:
        return []
    with suppress(OSError, ValueError):
        report: dict[str, Any] = json.loads((work / "pairs.report.json").read_bytes())
        worst = report.get("worst") or {}
        names = ("most_conflict", "held_out_disagrees", "least_margin")
        return [pair for name in names for pair in worst.get(name) or []]
    return []


def _serve(job: Job, session: Session, port: int, *, browser: bool) -> None:
    """Until the page says that it is finished, or Ctrl-C does."""
    import webbrowser

    from invdpo.curate.review.server import ReviewServer

    with ReviewServer(session, port) as server:
        job.out.note(f"Review at {server.url}\nCtrl-C ends it; every decision is kept at once.")
        if browser:
            webbrowser.open(server.url)
        with suppress(KeyboardInterrupt):
            server.serve_forever(0.2)


def _told(state: dict[str, Any], table: Path) -> str:
    counts = state["counts"]
    return (
        f"{state['decided']:,} of {state['total']:,} pairs decided: {counts['keep']:,} kept, "
        f"{counts['flip']:,} flipped, {counts['drop']:,} dropped\ntable    {table}"
    )
