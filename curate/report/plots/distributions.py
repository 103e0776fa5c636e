"""Plots of distributions: margins, and raw scores of chosen beside rejected images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from invdpo.curate.report.data import Floats, ReportData
from invdpo.curate.report.plots.bars import legend, one_line
from invdpo.curate.report.plots.theme import Theme, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2
MOST_BINS, LEAST_BINS = 40, 12


def margins(data: ReportData, theme: Theme) -> Figure | None:
    """How many pairs have which margin; lines at the median and at the least margin allowed."""
    values = np.array([row["margin"] for row in data.pairs], dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    figure = new_figure(theme, 2.4)
    axes = figure.subplots()
    axes.hist(
        values, edges(values).tolist(), color=theme.chosen, edgecolor=theme.ground, linewidth=0.6
    )
    median = float(np.median(values))
    axes.axvline(median, color=theme.ink, linewidth=1.4, label=f"median {median:.2f}")
    least = data.findings.config.get("min_margin")
    if isinstance(least, int | float) and least > 0:
        axes.axvline(
            least,
            color=theme.rejected,
            linewidth=1.4,
            linestyle=(0, (4, 2)),
            label=f"least allowed {least:g}",
        )
    axes.set(xlabel="margin", ylabel="pairs")
    style_axes(axes, theme, grid="y")
    legend(figure, axes, theme)
    return figure


def scores(data: ReportData, theme: Theme) -> Figure | None:
    """A panel a scorer: how its raw scores of chosen and of rejected images are spread."""
    scores = {
        name: tuple(side[np.isfinite(side)] for side in sides) for name, sides in data.raw.items()
    }
    scores = {name: sides for name, sides in scores.items() if all(len(side) for side in sides)}
    if not scores:
        return None
    rows = -(-len(scores) // COLUMNS)
    figure = new_figure(theme, 0.35 + 1.75 * rows)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, (name, (chosen, rejected)) in zip(panels, scores.items(), strict=False):
        _panel(axes, chosen, rejected, theme)
        style_axes(axes, theme, grid="y", title=one_line(name))
        axes.locator_params(axis="x", nbins=4)
        axes.locator_params(axis="y", nbins=4, integer=True)
    for axes in panels[len(scores) :]:
        axes.remove()
    legend(figure, panels[0], theme, backwards=True)
    return figure


def _panel(axes: Axes, chosen: Floats, rejected: Floats, theme: Theme) -> None:
    """Filled, and outlined as well, so that the one behind shows."""
    bins = edges(np.concatenate([chosen, rejected])).tolist()
    sides = {"rejected": (rejected, theme.rejected), "chosen": (chosen, theme.chosen)}
    for name, (values, colour) in sides.items():
        axes.hist(values, bins, color=colour, alpha=0.45, label=name)
        axes.hist(values, bins, color=colour, histtype="step", linewidth=1.3)


def edges(values: Floats) -> Floats:
    """Edges of bins by the rule of Freedman and Diaconis, of a width above 0, in bounded number."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        pad = abs(low) * 0.05 or 0.5
        return np.linspace(low - pad, high + pad, LEAST_BINS)
    quarter, three = np.quantile(values, (0.25, 0.75))
    width = 2 * (three - quarter) / len(values) ** (1 / 3)
    count = round((high - low) / width) if width > 0 else LEAST_BINS
    return np.linspace(low, high, min(MOST_BINS, max(LEAST_BINS, count)) + 1)
