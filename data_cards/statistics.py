"""The report of a pairing as tables for a card; what the report lacks is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from invdpo.data_cards.escape import cell, code, plain

Report = Mapping[str, Any]
Row = Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table of a card: a line above it, the names of its columns, and rows of Markdown."""

    title: str
    header: Row
    rows: Sequence[Row]


def tables(report: Report) -> list[Table]:
    """The tables that the report has figures for, in reading order."""
    makers = (_margins, _scorers, _correlation, _disagreement, _filters, _reviews, _strata)
    return [table for make in makers for table in make(report)]


def _margins(report: Report) -> Iterator[Table]:
    if margins := report.get("margins"):
        rows = [[plain(name) for name in margins], [cell(value) for value in margins.values()]]
        yield Table("Margins:", rows[0], rows[1:])


def _scorers(report: Report) -> Iterator[Table]:
    keys = ("role", "weight", "chosen_mean", "rejected_mean", "agreement", "tie_rate")
    names = ("role", "weight", "mean of chosen", "mean of rejected", "agrees", "calls equal")
    scorers = report.get("scorers") or {}
    known = [n for n, key in enumerate(keys) if any(key in facts for facts in scorers.values())]
    rows = [
        [code(scorer), *(cell(_words(facts.get(keys[n]))) for n in known)]
        for scorer, facts in scorers.items()
    ]
    if rows:
        text = "Scorers, by their raw scores; `agrees` is the share of pairs whose chosen image "
        text += "each prefers, among those it does not call equal:"
        yield Table(text, ["scorer", *(names[n] for n in known)], rows)


def _correlation(report: Report) -> Iterator[Table]:
    yield from _matrix(report, "rank_correlation", "Rank correlation within prompts, mean:")


def _disagreement(report: Report) -> Iterator[Table]:
    text = "Share of pairs on which two scorers disagree:"
    yield from _matrix(report, "disagreement", text)


def _matrix(report: Report, key: str, title: str) -> Iterator[Table]:
    agreement = report.get("agreement") or {}
    names, matrix = agreement.get("scorers") or [], agreement.get(key)
    if matrix and len(names) > 1:
        rows = [[code(name), *map(cell, line)] for name, line in zip(names, matrix, strict=True)]
        yield Table(title, ["", *map(code, names)], rows)


def _filters(report: Report) -> Iterator[Table]:
    rows = [
        [
            plain(step["name"]),
            plain(step.get("unit", "")),
            cell(step["before"]),
            cell(step["after"]),
        ]
        for step in report.get("filters") or ()
    ]
    if rows:
        yield Table("Filters, in their order:", ["filter", "of", "before", "after"], rows)


def _strata(report: Report) -> Iterator[Table]:
    for kind, strata in (report.get("strata") or {}).items():
        rows = [
            [plain(name), cell(facts["prompts"]), cell(facts["pairs"]), cell(facts.get("wanted"))]
            for name, facts in strata.items()
        ]
        if rows:
            header = [plain(kind), "prompts", "pairs", "share wanted"]
            yield Table(f"Balance by {plain(kind)}:", header, rows)


def _reviews(report: Report) -> Iterator[Table]:
    counts = {
        name: value
        for name, value in (report.get("reviews") or {}).items()
        if isinstance(value, int | float)
    }
    if counts:
        header = [plain(_words(name)) for name in counts]
        yield Table("Decisions of reviewers:", header, [[cell(value) for value in counts.values()]])


def _words(value: Any) -> Any:
    return value.replace("_", " ") if isinstance(value, str) else value
