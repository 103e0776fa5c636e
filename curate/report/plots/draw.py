"""All plots of the report by name, with their alternative texts and their PNG bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from invdpo.curate.report.data import ReportData
from invdpo.curate.report.plots import bars, distributions, matrices
from invdpo.curate.report.plots.theme import DARK, LIGHT, Theme, plot_style, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[ReportData, Theme], "Figure | None"]


class Plot(NamedTuple):
    """One plot in both colour schemes."""

    name: str
    """Of its file, without `.png`."""
    alt: str
    """Alternative text; the page has the numbers as tables."""
    light: bytes
    dark: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as the PNG's header has them."""
        width, height = struct.unpack(">II", self.light[16:24])
        return width, height


PLOTS: dict[str, tuple[Draw, str]] = {
    "filters": (bars.funnel, "Bars that shorten from filter to filter."),
    "margins": (distributions.margins, "Histogram of the margins of all pairs."),
    "scores": (
        distributions.scores,
        "Histograms of each scorer's raw scores, chosen beside rejected.",
    ),
    "votes": (bars.votes, "Bars: share of pairs on which each scorer agrees, ties, disagrees."),
    "rank_correlation": (matrices.correlation, "Matrix of rank correlations between scorers."),
    "disagreement": (matrices.disagreement, "Matrix of shares of pairs on which scorers disagree."),
    "balance": (bars.balance, "Bars: share of pairs in each stratum, with the share wanted."),
}
"""Name -> what draws it (None where there is nothing to draw) and its alternative text."""


def draw_plots(data: ReportData) -> list[Plot]:
    """Every plot that has something to show; the same data give the same bytes."""
    plots = []
    with plot_style():
        for name, (draw, alt) in PLOTS.items():
            if (light := draw(data, LIGHT)) and (dark := draw(data, DARK)):
                plots.append(Plot(name, alt, png(light), png(dark)))
    return plots
