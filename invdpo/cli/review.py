"""`invdpo curate review`: a page on this machine where a person judges pairs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invdpo.cli.arguments import Dataset, DryRun, SetName, named_set, optional
from invdpo.cli.command import Job, command
from invdpo.schemas import InvdpoError

if TYPE_CHECKING:
    from invdpo.curate.review.session import Session
    from invdpo.curate.workspace import Workspace

ORDER = (
    "random, doubtful (where scorers disagree most, then the smallest margins), or set (the order "
    "of the dataset)."
)

Port = Annotated[
    int,
    typer.Option(
        help="Port of the server; 0 selects a free one.", min=0, max=65535, metavar="PORT"
    ),
]
NoBrowser = Annotated[
    bool, typer.Option("--no-browser", help="Print the URL without opening a browser.")
]
Reviewer = Annotated[
    str | None, optional(metavar="NAME", help_text="Your name, stored in the table.")
]
Order = Annotated[str, typer.Option(help=ORDER, metavar="ORDER")]
ShowScores = Annotated[
    bool,
    typer.Option("--show-scores", help="Show the chosen image and the scores before a decision."),
]
Table = Annotated[
    Path | None,
    optional(
        "--reviews",
        metavar="FILE",
        help_text="Table for the decisions; WORK/reviews.parquet if not given.",
    ),
]


def enter(app: typer.Typer) -> None:
    """Add the command to `invdpo curate`."""
    command(app, "review", example="invdpo curate review work --reviewer me")(review)


def review(
    job: Job,
    dataset: Dataset,
    reviews: Table = None,
    reviewer: Reviewer = None,
    order: Order = "random",
    show_scores: ShowScores = False,
    port: Port = 0,
    no_browser: NoBrowser = False,
    dry_run: DryRun = False,
    name: SetName = None,
) -> None:
    """Judge pairs by eye in a browser: keep or flip them, call them equal, or drop them."""
    folder, ws = _dataset_and_workspace(named_set(dataset, name))
    beside = ws.reviews_path if ws else folder.parent / f"{folder.name}.reviews.parquet"
    table = reviews or beside
    session = _session(folder, ws, table, reviewer, order, show_scores)
    if not dry_run:
        _serve(job, session, port, browser=not no_browser)
    state = session.state()
    counts = {name: state[name] for name in ("total", "decided", "counts")}
    job.out.result({"reviews": str(table), **counts}, _text(state, table))
    if ws and state["decided"] and not reviews:
        job.out.note(f"Next: invdpo curate pair {ws.set_words} --reviews --overwrite")


def _dataset_and_workspace(path: Path) -> tuple[Path, Workspace | None]:
    """The dataset, and the workspace that it is in, if any."""
    from invdpo.curate.dataset.folder import DatasetFolder

    folder = DatasetFolder.find(path)
    return folder.path, folder.enclosing_workspace


def _session(
    folder: Path,
    ws: Workspace | None,
    table: Path,
    reviewer: str | None,
    order: str,
    show_scores: bool,
) -> Session:
    from invdpo.curate.review.decisions import Decisions
    from invdpo.curate.review.queue import ReviewPairs
    from invdpo.curate.review.session import Session

    pairs, title = ReviewPairs(folder, order, _worst(ws)), ws.title if ws else folder.resolve().name
    return Session(pairs, Decisions(table, reviewer), title, show_sides=show_scores)


def _worst(ws: Workspace | None) -> list[str]:
    """Pairs that the report lists as worst, those on which scorers disagree first."""
    if ws is None:
        return []
    from invdpo.curate.report.findings import read_findings

    try:
        worst = read_findings(ws.report_path).worst
    except InvdpoError:
        return []
    lists = (worst.most_conflict, worst.held_out_disagrees, worst.least_margin) if worst else ()
    return [pair for ids in lists for pair in ids]


def _serve(job: Job, session: Session, port: int, *, browser: bool) -> None:
    """Serve until the page is closed by its button, or Ctrl-C is pressed."""
    import webbrowser

    from invdpo.curate.review.server import ReviewServer

    with ReviewServer(session, port) as server:
        job.out.notice(
            f"Review at {server.url}\nPress Ctrl-C to end it. Every decision is saved at once."
        )
        if browser:
            webbrowser.open(server.url)
        with suppress(KeyboardInterrupt):
            server.serve_forever(0.2)


def _text(state: dict[str, Any], table: Path) -> str:
    counts = state["counts"]
    return (
        f"{state['decided']:,} of {state['total']:,} pairs decided: {counts['keep']:,} kept, "
        f"{counts['flip']:,} flipped, {counts['equal']:,} equal, {counts['drop']:,} dropped\n"
        f"table    {table}"
    )
