"""`invdpo report`: the results of a pairing, in a few lines and on one page."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.arguments import SetName, Work, output_option
from invdpo.cli.command import Job, command
from invdpo.console.output import table
from invdpo.curate.storage.pair_sets import words_of
from invdpo.rounds.record import NAME
from invdpo.schemas.io.text import count_noun, format_bytes

if TYPE_CHECKING:
    from invdpo.curate.report.build import Written
    from invdpo.curate.report.findings import Findings
    from invdpo.curate.workspace import Workspace

Folder = Annotated[
    Path | None, output_option("Folder for page and plots; WORK/report if not given.")
]

Compare = Annotated[
    bool,
    typer.Option("--compare", help="Compare all sets of pairs on one page, in WORK/comparison."),
]


def enter(app: typer.Typer) -> None:
    """Add the command to the command line."""
    command(app, "report", "score.annotator", example="invdpo report work")(report)


def report(
    job: Job, work: Work, output: Folder = None, name: SetName = None, compare: Compare = False
) -> None:
    """Show how pairs were chosen, on a page with plots and images."""
    from invdpo.curate.report.build import write_report
    from invdpo.curate.workspace import Workspace

    if name and compare:
        raise typer.BadParameter("--compare shows all sets; leave it out.", param_hint="--name")
    if (Path(work) / NAME).is_file():
        if name or compare:
            text = "a folder of rounds has no sets of pairs to choose from; each round may have"
            text += f" some: invdpo report {shlex.quote(f'{work}/round-001')}"
            raise typer.BadParameter(text, param_hint="--name" if name else "--compare")
        _report_rounds(job, Path(work), output)
        return
    if compare:
        _compare_sets(job, Workspace(work), output)
        return
    ws = Workspace(work, name).need_set()
    annotator = job.config(ws.config_path).score.annotator
    written = write_report(ws, annotator, output)
    for note in written.notes:
        job.out.note(note)
    job.out.result({"workspace": work, **written.to_dict()}, summary(written))
    if names := ws.set_names():
        listed = f"Named sets of pairs: {', '.join(names)}"
        job.out.note(f"{listed}. Side by side: invdpo report {words_of(ws.root)} --compare")


def _compare_sets(job: Job, ws: Workspace, output: Path | None) -> None:
    """The page that compares the sets of pairs of a workspace."""
    from invdpo.curate.report.sets import write_comparison

    path, page = write_comparison(ws, output)
    rows = [(s.label, s.findings.pairs, s.findings.margins.get("median")) for s in page.sets]
    cells = [(label, n.total, n.train, n.validation, median) for label, n, median in rows]
    text = table(("set", "pairs", "train", "validation", "median margin"), cells)
    job.out.result({"page": str(path), **page.to_dict()}, f"{text}\n\npage    {path}")


def _report_rounds(job: Job, root: Path, output: Path | None) -> None:
    """The page of the rounds of `improve`."""
    from invdpo.cli.improve import summary as rounds_summary
    from invdpo.cli.improve import to_dict
    from invdpo.rounds.page import read_improvement, write_report

    improvement = read_improvement(root, job.config(root / "invdpo.yaml"))
    page = write_report(improvement, output)
    text = f"{rounds_summary(improvement)}\n\npage    {page}"
    job.out.result({"page": str(page), **to_dict(improvement)}, text)


def summary(written: Written) -> str:
    """Counts, what each scorer says, and where the page is."""
    findings = written.findings
    parts = ["\n".join(f"{name:<22}{value}" for name, value in _counts(findings))]
    if findings.scorers:
        header = ("scorer", "role", "weight", "agrees", "equal", "disagrees")
        rows = [
            (name, s.role_in_pairing.replace("_", " "), s.weight, s.agree, s.ties, s.disagree)
            for name, s in findings.scorers.items()
        ]
        parts.append(table(header, rows))
    size = f"{format_bytes(written.size)}, {count_noun(written.shown, 'pair')} with images"
    parts.append(f"{'page':<22}{written.page} ({size})\n{'plots':<22}{written.folder}/*.png")
    return "\n\n".join(parts)


def _counts(findings: Findings) -> list[tuple[str, str]]:
    pairs, prompts, candidates = findings.pairs, findings.prompts, findings.candidates
    rows = [
        (
            "pairs",
            f"{pairs.total:,}: {pairs.train:,} to train on, {pairs.validation:,} for validation",
        ),
        ("prompts with a pair", f"{prompts.paired:,} of {prompts.total:,}"),
        ("usable images", f"{candidates.usable:,} of {candidates.total:,}"),
        ("scorers in conflict", f"on {count_noun(pairs.in_conflict, 'pair')}"),
    ]
    if findings.margins:
        rows.append(("median margin", f"{findings.margins['median']:.3f}"))
    if findings.shortfall:
        rows.append(("fewer than asked for", findings.shortfall))
    return rows
