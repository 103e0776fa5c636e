"""Plots of distributions: margins, and raw scores of chosen beside rejected pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from invdpo.curate.report.data import Floats, Material
from invdpo.curate.report.plots.bars import legend, short
from invdpo.curate.report.plots.theme import Theme, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2
MOST_BINS, LEAST_BINS = 40, 12


def margins(material: Material, theme: Theme) -> Figure | None:
    """How many pairs have which margin; lines at the median and at the least margin allowed."""
    values = np.array([row["margin"] for row in material.pairs], dtype=np.float64)
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
    least = material.findings.config.get("min_margin")
    if isinstance(least, int | float) and least > 0:
        axes.axvline(
            least,
            color=theme.rejected,
            linewidth=1.4,
            linestyle=(0, (4, 2)),
            label=f"least allowed {least:g}",
        )
    axes.set(xlabel="margin", ylabel="pairs")
    dress(axes, theme, grid="y")
    legend(figure, axes, theme)
    return figure


def scores(material: Material, theme: Theme) -> Figure | None:
    """A panel a scorer: how its raw scores of chosen and of rejected pictures are spread."""
    found = {
        name: tuple(side[np.isfinite(side)] for side in sides)
        for name, sides in material.raw.items()
    }
    found = {name: sides for name, sides in found.items() if all(len(side) for side in sides)}
    if not found:
        return None
    rows = -(-len(found) // COLUMNS)
    figure = new_figure(theme, 0.35 + 1.75 * rows)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, (name, (chosen, rejected)) in zip(panels, found.items(), strict=False):
        _panel(axes, chosen, rejected, theme)
        dress(axes, theme, grid="y", title=short(name))
        axes.locator_params(axis="x", nbins=5)
        axes.locator_params(axis="y", nbins=4, integer=True)
    for axes in panels[len(found) :]:
        axes.remove()
    legend(figure, panels[0], theme, backwards=True)
    return figure


def _panel(axes: Axes, chosen: Floats, rejected: Floats, theme: Theme) -> None:
    """Filled, and outlined again so that the hidden one shows."""
    bins = edges(np.concatenate([chosen, rejected])).tolist()
    sides = {"rejected": (rejected, theme.rejected), "chosen": (chosen, theme.chosen)}
    for name, (values, colour) in sides.items():
        axes.hist(values, bins, color=colour, alpha=0.45, label=name)
        axes.hist(values, bins, color=colour, histtype="step", linewidth=1.3)


def edges(values: Floats) -> Floats:
    """Edges of bins by the rule of Freedman and Diaconis, within bounds; never of no width."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        pad = abs(low) * 0.05 or 0.5
        return np.linspace(low - pad, high + pad, LEAST_BINS)
    quarter, three = np.quantile(values, (0.25, 0.75))
    width = 2 * (three - quarter) / len(values) ** (1 / 3)
    count = round((high - low) / width) if width > 0 else LEAST_BINS
    return np.linspace(low, high, min(MOST_BINS, max(LEAST_BINS, count)) + 1)
