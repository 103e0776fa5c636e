"""Plots of how far scorers agree: rank correlation and disagreement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from invdpo.curate.report.data import ReportData
from invdpo.curate.report.findings import Matrix
from invdpo.curate.report.plots.bars import one_line
from invdpo.curate.report.plots.theme import Theme, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ACROSS = 24
"""Letters of all names that fit side by side above a matrix."""
FEW = 4
"""Scorers whose cells are wide enough for numbers in the size of other texts."""


def correlation(data: ReportData, theme: Theme) -> Figure | None:
    """Mean rank correlation within prompts, -1 to 1."""
    agreement = data.findings.agreement
    if agreement is None or len(agreement.scorers) < 2:
        return None
    ends = (theme.rejected, theme.low, theme.chosen)
    return _matrix(agreement.scorers, agreement.rank_correlation, theme, ends, -1.0, "+.2f")


def disagreement(data: ReportData, theme: Theme) -> Figure | None:
    """Share of pairs on which two scorers point opposite ways, 0 to 1."""
    agreement = data.findings.agreement
    if agreement is None or len(agreement.scorers) < 2:
        return None
    ends = (theme.low, theme.rejected)
    return _matrix(agreement.scorers, agreement.disagreement, theme, ends, 0.0, ".0%")


def _matrix(
    names: list[str],
    rows: Matrix,
    theme: Theme,
    ends: tuple[str, ...],
    least: float,
    form: str,
) -> Figure:
    """Coloured cells with the number in each; a dash where there is none."""
    from matplotlib.colors import LinearSegmentedColormap

    values = np.array(rows, dtype=np.float64)
    labels, size = [one_line(name) for name in names], len(names)
    longest = max(map(len, labels))
    slanted = size * longest > ACROSS
    figure = new_figure(theme, 0.3 + 0.42 * size + (0.07 * longest if slanted else 0.25))
    axes = figure.subplots()
    colours = LinearSegmentedColormap.from_list("ours", ends)
    axes.imshow(values, colours, vmin=least, vmax=1, aspect="auto")
    cell: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9 if size <= FEW else 7.5}
    for (row, column), value in np.ndenumerate(values):
        known = np.isfinite(value)
        strong = known and abs(value) > 0.6
        ink = theme.ground if strong else theme.ink
        text = _short(value, form) if known else "–"
        axes.text(column, row, text, color=ink, **cell)
    axes.set_yticks(range(size), labels)
    rotation: dict[str, Any] = (
        {"rotation": 55, "ha": "left", "rotation_mode": "anchor"} if slanted else {}
    )
    axes.set_xticks(range(size), labels, **rotation)
    axes.xaxis.tick_top()
    style_axes(axes, theme)
    axes.spines["bottom"].set_visible(False)
    return figure


def _short(value: float, form: str) -> str:
    """A number without the zero before its point, and a whole one without decimals."""
    return format(value, form).replace("1.00", "1").replace("0.", ".")
