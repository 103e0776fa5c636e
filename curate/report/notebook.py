"""One pair as an object that a notebook shows: images, prompt, facts and scores, all escaped."""

from __future__ import annotations

from dataclasses import dataclass

from invdpo.curate.report.data import read_candidates, read_report_data
from invdpo.curate.report.page import render_template
from invdpo.curate.report.pair_views import PairView, make_pair_views
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.io.text import quote
from invdpo.schemas.tables import SIDES

PICTURE = 500_000
"""Bytes of an image at most."""


@dataclass(frozen=True, repr=False)
class PairCard:
    """A pair to look at; the last value of a notebook's cell is shown by `_repr_html_`."""

    view: PairView

    def __repr__(self) -> str:
        return f"<pair {self.view.pair_id}: {quote(self.view.prompt)}>"

    def _repr_html_(self) -> str:
        """HTML with its style in it, that takes its colours from the page around it."""
        return render_template("notebook.html.j2", pair=self.view)


def pair_card(ws: Workspace, pair_id: str, annotator: str) -> PairCard:
    """The pair of this id, with facts as `annotator` saw them.

    Raises `DataError` for an id that no pair has, `WorkspaceError` without pairs.
    """
    ws.need(ws.pairs_path)
    data = read_report_data(ws)
    row = next((row for row in data.pairs if row["pair_id"] == pair_id), None)
    if row is None:
        text = f"no pair has this id; the column `pair_id` of pairs() lists all {len(data.pairs)}"
        raise DataError(f"{ws.pairs_path}: {quote(pair_id)}: {text}.")
    candidates = read_candidates(ws, [row[f"{side}_id"] for side in SIDES], annotator)
    return PairCard(make_pair_views(data, candidates, [pair_id], PICTURE)[pair_id])
