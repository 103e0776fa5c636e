"""Writes the report's folder, the page and a PNG for each plot: all of it or nothing."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.curate.report.data import ReportData, read_candidates, read_report_data
from invdpo.curate.report.examples import PairGroup, by_stratum, strata_groups, worst_groups
from invdpo.curate.report.findings import Findings
from invdpo.curate.report.page import Page, render
from invdpo.curate.report.pair_views import make_pair_views
from invdpo.curate.report.plots.draw import PLOTS, draw_plots
from invdpo.curate.report.provenance import made_by, read_provenance
from invdpo.curate.scene_graphs.strata import strata
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.curate.storage.parts import exists
from invdpo.curate.workspace import Workspace
from invdpo.schemas.io.documents import as_written
from invdpo.schemas.tables import SIDES

PAGE = "index.html"
PICTURES = 6_000_000
"""Bytes of all images together, a third more as base64."""
NAMES = frozenset({PAGE, *(f"{name}.png" for name in PLOTS)})
"""The files of a report's folder; a folder with any other file is not replaced."""


@dataclass(frozen=True)
class Written:
    """Where the report was written, and what it says."""

    folder: Path
    findings: Findings
    plots: tuple[str, ...]
    shown: int
    """Pairs with images."""
    size: int
    """Bytes of the page."""
    notes: tuple[str, ...]

    @property
    def page(self) -> Path:
        """The page itself."""
        return self.folder / PAGE

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {
            "page": str(self.page),
            "plots": [str(self.folder / f"{name}.png") for name in self.plots],
            "bytes": self.size,
            "pairs": self.findings.pairs.total,
            "pairs_shown": self.shown,
            "shortfall": self.findings.shortfall,
            "notes": list(self.notes),
        }


def write_report(ws: Workspace, annotator: str, folder: Path | None = None) -> Written:
    """Make the report of a workspace's pairs, in its `report/` unless another folder is given.

    Boxes and facts are those `annotator` saw. Raises `WorkspaceError` without a report of pairs,
    for damaged tables and a folder that can't be written; `DataError` for a report of pairs that
    can't be read and a folder that holds other files.
    """
    if not exists(ws.report_path):
        ws.need(ws.prompts_path)  # an empty workspace needs the first step first
    ws.need(ws.report_path)
    with ws.lock() if folder is None else nullcontext(), as_written(ws.root):
        return _write(ws, annotator, folder or ws.report_dir)


def _write(ws: Workspace, annotator: str, target: Path) -> Written:
    data = read_report_data(ws)
    page = _page(ws, data, annotator)
    text = render(page).encode()
    with replacing_folder(target, NAMES) as temporary:
        for plot in page.plots:
            (temporary / f"{plot.name}.png").write_bytes(plot.light)
        (temporary / PAGE).write_bytes(text)
    names = tuple(plot.name for plot in page.plots)
    return Written(target, data.findings, names, len(page.pairs), len(text), data.notes)


def _page(ws: Workspace, data: ReportData, annotator: str) -> Page:
    graphs = {
        row["pair_id"]: data.prompts.get(row["prompt_id"], {}).get("graph") for row in data.pairs
    }
    worst = worst_groups(data.findings.worst, graphs)
    strata_pairs = by_stratum(graphs, strata)
    kinds = strata_groups(strata_pairs, (pair for group in worst for pair in group.pairs))
    shown = [pair for group in _all_groups(worst, kinds) for pair in group.pairs]
    rows = {row["pair_id"]: row for row in data.pairs}
    wanted = {rows[pair][f"{side}_id"] for pair in shown for side in SIDES}
    candidates = read_candidates(ws, wanted, annotator)
    budget = PICTURES // max(1, len(wanted))
    config_hash, version = made_by(ws.pairs_path)
    return Page(
        ws.title,
        data,
        draw_plots(data),
        make_pair_views(data, candidates, shown, budget),
        worst,
        kinds,
        read_provenance(ws),
        config_hash,
        version,
    )


def _all_groups(worst: list[PairGroup], kinds: dict[str, list[PairGroup]]) -> list[PairGroup]:
    return [*worst, *(group for groups in kinds.values() for group in groups)]
