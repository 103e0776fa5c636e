"""All plots of the report by name: which there are, what each shows, and their PNG bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from invdpo.curate.report.data import Material
from invdpo.curate.report.plots import bars, distributions, matrices
from invdpo.curate.report.plots.theme import DARK, LIGHT, Theme, png, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Material, Theme], "Figure | None"]


class Plot(NamedTuple):
    """One plot in both colour schemes."""

    name: str
    """Of its file, without `.png`."""
    about: str
    """What is to be seen, for those who don't see it; the numbers stand in tables beside it."""
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


def draw_plots(material: Material) -> list[Plot]:
    """Every plot that there is something to draw of, the same bytes for the same material."""
    found = []
    with styled():
        for name, (draw, about) in PLOTS.items():
            if (light := draw(material, LIGHT)) and (dark := draw(material, DARK)):
                found.append(Plot(name, about, png(light), png(dark)))
    return found
