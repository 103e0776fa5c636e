"""The page that compares the sets of pairs of one workspace: sizes, margins, strata, overlap."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from invdpo import __version__
from invdpo.curate.report.data import why_no_pairs
from invdpo.curate.report.findings import Findings, ScorerFindings, read_findings
from invdpo.curate.report.page import render_template
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.curate.storage.parts import exists
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.io.documents import as_written

PAGE, DATA = "index.html", "sets.json"
FOLDER = "comparison"
UNNAMED = "(no name)"
COLUMNS = ("pair_id", "prompt_id", "chosen_id", "rejected_id")

Overlap = list[list[int | None]]
"""Of each set with each; None where pairs are not those of the report."""


@dataclass(frozen=True)
class ComparedSet:
    """One set of pairs."""

    label: str
    findings: Findings
    pairs: pa.Table | None
    """Ids alone; None when the pairs that are there are not those of the report."""

    @property
    def normalisation(self) -> str:
        """The unit of its margins."""
        return str(self.findings.config.get("normalisation", "prompt"))


@dataclass(frozen=True)
class SetsPage:
    """Everything that the page shows."""

    name: str
    """Of the workspace."""
    sets: Sequence[ComparedSet]
    shared: Overlap
    """Pairs of a set (row) that are in another one (column), too."""
    turned: Overlap
    """Pairs of a set that are in another one with their sides swapped."""
    prompts: Overlap
    """Prompts with a pair in both."""
    version: str = __version__

    @property
    def labels(self) -> list[str]:
        """What the sets are called."""
        return [entry.label for entry in self.sets]

    def options(self) -> dict[str, list[Any]]:
        """Options of the pairing that differ -> their value in each set, None for the default."""
        configs = [entry.findings.config for entry in self.sets]
        names = sorted({name for config in configs for name in config})
        values = {name: [config.get(name) for config in configs] for name in names}
        return {name: row for name, row in values.items() if any(v != row[0] for v in row)}

    def scorers(self) -> dict[str, list[ScorerFindings | None]]:
        """Scorer -> how it sees the pairs of each set."""
        names = sorted({name for entry in self.sets for name in entry.findings.scorers})
        return {name: [s.findings.scorers.get(name) for s in self.sets] for name in names}

    def strata(self) -> dict[str, dict[str, list[float | None]]]:
        """Kind -> stratum -> its share of the pairs of each set."""
        balances = [entry.findings.balance for entry in self.sets]
        kinds = dict.fromkeys(kind for balance in balances for kind in balance)
        return {kind: _shares([balance.get(kind, {}) for balance in balances]) for kind in kinds}

    def to_dict(self) -> dict[str, Any]:
        """The figures in JSON's types."""
        sets = {
            entry.label: {
                **entry.findings.pairs.model_dump(),
                "prompts": entry.findings.prompts.paired,
                "margins": entry.findings.margins,
                "normalisation": entry.normalisation,
                "shortfall": entry.findings.shortfall,
            }
            for entry in self.sets
        }
        overlap = {"pairs": self.shared, "turned": self.turned, "prompts": self.prompts}
        figures = {"sets": sets, "options": self.options(), "strata": self.strata()}
        return figures | {"overlap": {"labels": self.labels, **overlap}}


def _shares(balances: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    totals = [sum(stratum.pairs for stratum in strata.values()) for strata in balances]
    names = dict.fromkeys(name for strata in balances for name in strata)
    return {
        name: [
            strata[name].pairs / total if total and name in strata else None
            for strata, total in zip(balances, totals, strict=True)
        ]
        for name in names
    }


def compare_sets(ws: Workspace) -> SetsPage:
    """Read all sets of a workspace. Raises `DataError` for fewer than two."""
    sets = list(_read_sets(ws))
    if len(sets) < 2:
        found = ", ".join(entry.label for entry in sets) or "none"
        text = f"{ws.root}: a comparison needs two or more sets of pairs; found: {found}."
        raise DataError(
            f"{text}\nChoose another set: invdpo curate pair {ws.set_words} --name NAME"
        )
    return SetsPage(
        ws.title,
        sets,
        _overlap(sets, lambda a, b: _count(_sides(a), _sides(b))),
        _overlap(sets, lambda a, b: _count(_sides(a), _sides(b, reverse=True))),
        _overlap(sets, lambda a, b: _count(pc.unique(a["prompt_id"]), b["prompt_id"])),
    )


def _read_sets(ws: Workspace) -> Iterator[ComparedSet]:
    for name in (None, *ws.set_names()):
        own = Workspace(ws.root, name)
        if not exists(own.report_path):
            continue
        findings = read_findings(own.report_path)
        stale = why_no_pairs(own, findings)
        pairs = None if stale else own.read_table(own.pairs_path, COLUMNS)
        yield ComparedSet(name or UNNAMED, findings, pairs)


def _overlap(sets: Sequence[ComparedSet], count: Callable[[pa.Table, pa.Table], int]) -> Overlap:
    return [
        [None if a.pairs is None or b.pairs is None else count(a.pairs, b.pairs) for b in sets]
        for a in sets
    ]


def _sides(pairs: pa.Table, *, reverse: bool = False) -> pa.ChunkedArray:
    """Both candidates of each pair as one key: the same two images, the same way round."""
    sides = [pairs["chosen_id"], pairs["rejected_id"]]
    return pc.binary_join_element_wise(*(reversed(sides) if reverse else sides), " ")


def _count(values: pa.ChunkedArray | pa.Array, others: pa.ChunkedArray) -> int:
    """How many of the values are among the others."""
    return int(pc.sum(pc.is_in(values, value_set=others.combine_chunks())).as_py() or 0)


def write_comparison(ws: Workspace, folder: Path | None = None) -> tuple[Path, SetsPage]:
    """The page, in `WORK/comparison` unless another folder is given, and what it shows.

    Raises `DataError` for fewer than two sets and a folder that holds other files,
    `WorkspaceError` for damaged tables and a folder that can't be written.
    """
    ws.need(ws.prompts_path)
    with ws.lock() if folder is None else nullcontext(), as_written(ws.root):
        page, target = compare_sets(ws), folder or ws.root / FOLDER
        text = render_template("sets.html.j2", page=page)
        with replacing_folder(target, {PAGE, DATA}) as new:
            (new / PAGE).write_bytes(text.encode())
            (new / DATA).write_bytes(json.dumps(page.to_dict(), indent=1).encode())
    return target / PAGE, page
