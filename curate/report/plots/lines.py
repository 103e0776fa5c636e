"""Plots of a figure from round to round, with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from invdpo.curate.report.plots.theme import (
    DARK,
    LIGHT,
    Theme,
    new_figure,
    plot_style,
    png,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST = 1e-3
"""Least height of a plot, in the figure's units, which are printed with three digits."""


class CurvePoint(NamedTuple):
    """A figure of one round's model."""

    label: str
    value: float
    """Not a number where the model has none; so are both ends."""
    low: float
    high: float


def draw_curve(points: Sequence[CurvePoint], title: str, best: int) -> tuple[bytes, bytes]:
    """PNG bytes in both colour schemes; the point number `best` is marked."""
    with plot_style():
        light, dark = (png(_curve(points, title, best, theme)) for theme in (LIGHT, DARK))
    return light, dark


def _curve(points: Sequence[CurvePoint], title: str, best: int, theme: Theme) -> Figure:
    figure = new_figure(theme, 2.6)
    axes = figure.subplots()
    x, y = range(len(points)), [point.value for point in points]
    axes.fill_between(
        x, [p.low for p in points], [p.high for p in points], color=theme.chosen, alpha=0.16, lw=0
    )
    axes.plot(x, y, color=theme.chosen, linewidth=2, marker="o", markersize=5)
    axes.axhline(y[0], color=theme.neutral, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot([best], [y[best]], "o", color=theme.rejected, markersize=8, zorder=3)
    for index, value in enumerate(y):
        if math.isnan(value):
            continue
        axes.annotate(
            f"{value:.3f}",
            (index, value),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=theme.ink,
        )
    axes.margins(y=0.18)
    bottom, top = axes.get_ylim()
    if top - bottom < SMALLEST:  # rounding alone, which would fill the plot
        axes.set_ylim(bottom - SMALLEST, top + SMALLEST)
    axes.set_xticks(list(x), [point.label for point in points])
    style_axes(axes, theme, grid="y", title=title)
    return figure
