"""Plots of counts and shares: filters, votes of the scorers, balance of the strata."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from invdpo.curate.report.data import Material
from invdpo.curate.report.findings import Filter, Stratum
from invdpo.curate.report.plots.theme import Theme, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 30
"""Letters of a name at most, where it stands in one line."""
LINES, LINE = 2, 27
"""Lines of a filter's name, and letters of each."""
ROW = 0.27
"""Inches a bar."""


def funnel(material: Material, theme: Theme) -> Figure | None:
    """What is left after each filter, as a share of what its unit began with."""
    steps = material.findings.steps
    if not steps:
        return None
    rows = _left(steps)
    figure = new_figure(theme, 0.3 + 1.1 * ROW * len(rows))
    axes = figure.subplots()
    for place, (_, left, total, first) in enumerate(rows):
        share = left / total if total else 0.0
        axes.barh(place, 1, 0.62, color=theme.low)
        axes.barh(place, share, 0.62, color=theme.neutral if first else theme.chosen)
        axes.text(1.02, place, f"{left:,}", va="center", color=theme.ink, fontsize=9)
        if not first and share < 1:
            axes.text(1.17, place, f"{share:.1%}", va="center", color=theme.muted, fontsize=9)
    axes.set_yticks(range(len(rows)), [folded(name) for name, *_ in rows])
    for label, (*_, first) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set(fontweight="bold" if first else "normal", linespacing=0.95)
    axes.set(xlim=(0, 1.32), ylim=(len(rows) - 0.5, -0.5))
    dress(axes, theme)
    axes.tick_params(labelsize=8)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return figure


def _left(steps: list[Filter]) -> list[tuple[str, int, int, bool]]:
    """Rows of name, what is left, what the unit began with, and whether this is its beginning."""
    rows: list[tuple[str, int, int, bool]] = []
    unit, total = None, 0
    for step in steps:
        if step.unit != unit:
            unit, total = step.unit, step.before
            rows.append((unit, total, total, True))
        rows.append((step.name, step.after, total, False))
    return rows


def votes(material: Material, theme: Theme) -> Figure | None:
    """For each scorer the share of pairs it agrees with, calls equal, and disagrees with."""
    found = {name: s for name, s in material.findings.scorers.items() if s.pairs}
    if not found:
        return None
    figure = new_figure(theme, 0.75 + ROW * len(found))
    axes = figure.subplots()
    colours = {"agrees": theme.chosen, "equal": theme.neutral, "disagrees": theme.rejected}
    for place, scorer in enumerate(found.values()):
        left = 0.0
        counts = (scorer.agree, scorer.ties, scorer.disagree)
        for (word, colour), count in zip(colours.items(), counts, strict=True):
            share = count / scorer.pairs
            axes.barh(place, share, 0.62, left, color=colour, label="" if place else word)
            left += share
    axes.set_yticks(range(len(found)), [short(name) for name in found])
    axes.set(xlim=(0, 1), ylim=(len(found) - 0.5, -0.5), xlabel="share of pairs")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    dress(axes, theme, grid="x")
    legend(figure, axes, theme)
    return figure


def balance(material: Material, theme: Theme) -> Figure | None:
    """Share of prompts and of pairs in each stratum, and the share wanted, a panel a kind."""
    kinds = material.findings.balance
    if not kinds:
        return None
    sizes = [len(strata) for strata in kinds.values()]
    figure = new_figure(theme, 0.8 + sum(0.36 + ROW * size for size in sizes))
    panels = figure.subplots(len(kinds), 1, sharex=True, squeeze=False, height_ratios=sizes)
    for axes, (kind, strata) in zip(panels[:, 0], kinds.items(), strict=True):
        _shares(axes, strata, theme)
        dress(axes, theme, grid="x", title=short(kind))
    last = panels[-1, 0]
    last.set(xlim=(0, None), xlabel="share")
    last.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    legend(figure, panels[0, 0], theme)
    return figure


def _shares(axes: Axes, strata: dict[str, Stratum], theme: Theme) -> None:
    prompts = sum(stratum.prompts for stratum in strata.values()) or 1
    pairs = sum(stratum.pairs for stratum in strata.values()) or 1
    places = range(len(strata))
    axes.barh(
        places, [s.pairs / pairs for s in strata.values()], 0.6, color=theme.chosen, label="pairs"
    )
    axes.scatter(
        [s.prompts / prompts for s in strata.values()],
        places,
        30,
        label="prompts",
        zorder=3,
        facecolor=theme.ground,
        edgecolor=theme.ink,
        linewidth=1.2,
    )
    wanted = [
        (s.wanted, place)
        for s, place in zip(strata.values(), places, strict=True)
        if s.wanted is not None
    ]
    if wanted:
        x, y = zip(*wanted, strict=True)
        axes.scatter(
            x, y, 150, marker="|", color=theme.rejected, linewidth=2.2, label="wanted", zorder=4
        )
    axes.set_yticks(places, [short(name) for name in strata])
    axes.set_ylim(len(strata) - 0.5, -0.5)


def legend(figure: Figure, axes: Axes, theme: Theme, *, backwards: bool = False) -> None:
    """The names of the colours, in one line above the plot."""
    handles, labels = axes.get_legend_handles_labels()
    if backwards:
        handles, labels = handles[::-1], labels[::-1]
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=4,
        frameon=False,
        fontsize=9,
        labelcolor=theme.ink,
        handlelength=1.2,
        columnspacing=1.4,
    )


def folded(name: str) -> str:
    """A name in at most two short lines."""
    return textwrap.fill(name, LINE, max_lines=LINES, placeholder="…")


def short(name: str) -> str:
    """A name in one line, its end cut off where it is long."""
    line = " ".join(name.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
