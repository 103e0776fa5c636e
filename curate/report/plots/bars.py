"""Plots of counts and shares: filters, votes of the scorers, balance of the strata."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from invdpo.curate.report.data import ReportData
from invdpo.curate.report.findings import Filter, StratumFindings
from invdpo.curate.report.plots.theme import Theme, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 24
"""Letters of a name in one line, at most."""
LINES, LINE = 2, 27
"""Lines of a filter's name at most, and letters of each."""
ROW = 0.27
"""Inches a bar."""


def funnel(data: ReportData, theme: Theme) -> Figure | None:
    """What is left after each filter, as a share of what its unit began with."""
    steps = data.findings.steps
    if not steps:
        return None
    rows = _left(steps)
    figure = new_figure(theme, 0.3 + 1.1 * ROW * len(rows))
    axes = figure.subplots()
    for y, (_, left, total, first) in enumerate(rows):
        share = left / total if total else 0.0
        axes.barh(y, 1, 0.62, color=theme.low)
        axes.barh(y, share, 0.62, color=theme.neutral if first else theme.chosen)
    axes.set_yticks(range(len(rows)), [two_lines(name) for name, *_ in rows])
    for label, (*_, first) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set(fontweight="bold" if first else "normal", linespacing=0.95)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    style_axes(axes, theme)
    axes.tick_params(labelsize=8)
    counts = axes.secondary_yaxis("right")
    counts.set_yticks(range(len(rows)), [_count(left, total) for _, left, total, _ in rows])
    counts.tick_params(labelsize=8, labelcolor=theme.ink, length=0)
    counts.spines["right"].set_visible(False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return figure


def _count(left: int, total: int) -> str:
    """What is left, and its share if something is gone."""
    return f"{left:,}" if left == total else f"{left:,} · {left / total:.1%}"


def _left(steps: list[Filter]) -> list[tuple[str, int, int, bool]]:
    """Rows of name, what is left, what the unit began with, and whether it begins here."""
    rows: list[tuple[str, int, int, bool]] = []
    unit, total = None, 0
    for step in steps:
        if step.unit != unit:
            unit, total = step.unit, step.before
            rows.append((unit, total, total, True))
        rows.append((step.name, step.after, total, False))
    return rows


def votes(data: ReportData, theme: Theme) -> Figure | None:
    """For each scorer the share of pairs it agrees with, calls equal, and disagrees with."""
    scorers = {name: s for name, s in data.findings.scorers.items() if s.pairs}
    if not scorers:
        return None
    figure = new_figure(theme, 0.75 + ROW * len(scorers))
    axes = figure.subplots()
    colours = {"agrees": theme.chosen, "equal": theme.neutral, "disagrees": theme.rejected}
    for y, scorer in enumerate(scorers.values()):
        left = 0.0
        counts = (scorer.agree, scorer.ties, scorer.disagree)
        for (word, colour), count in zip(colours.items(), counts, strict=True):
            share = count / scorer.pairs
            axes.barh(y, share, 0.62, left, color=colour, label="" if y else word)
            left += share
    axes.set_yticks(range(len(scorers)), [one_line(name) for name in scorers])
    axes.set(xlim=(0, 1), ylim=(len(scorers) - 0.5, -0.5), xlabel="share of pairs")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    style_axes(axes, theme, grid="x")
    legend(figure, axes, theme)
    return figure


def balance(data: ReportData, theme: Theme) -> Figure | None:
    """Share of prompts and of pairs in each stratum, and the share wanted, a panel a kind."""
    kinds = data.findings.balance
    if not kinds:
        return None
    sizes = [len(strata) for strata in kinds.values()]
    figure = new_figure(theme, 0.8 + sum(0.36 + ROW * size for size in sizes))
    panels = figure.subplots(len(kinds), 1, sharex=True, squeeze=False, height_ratios=sizes)
    for axes, (kind, strata) in zip(panels[:, 0], kinds.items(), strict=True):
        _shares(axes, strata, theme)
        style_axes(axes, theme, grid="x", title=one_line(kind))
    last = panels[-1, 0]
    last.set(xlim=(0, None), xlabel="share")
    last.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    legend(figure, panels[0, 0], theme)
    return figure


def _shares(axes: Axes, strata: dict[str, StratumFindings], theme: Theme) -> None:
    prompts = sum(stratum.prompts for stratum in strata.values()) or 1
    pairs = sum(stratum.pairs for stratum in strata.values()) or 1
    rows = range(len(strata))
    axes.barh(
        rows, [s.pairs / pairs for s in strata.values()], 0.6, color=theme.chosen, label="pairs"
    )
    axes.scatter(
        [s.prompts / prompts for s in strata.values()],
        rows,
        30,
        label="prompts",
        zorder=3,
        facecolor=theme.ground,
        edgecolor=theme.ink,
        linewidth=1.2,
    )
    wanted = [
        (s.wanted, row)
        for s, row in zip(strata.values(), rows, strict=True)
        if s.wanted is not None
    ]
    if wanted:
        x, y = zip(*wanted, strict=True)
        axes.scatter(
            x, y, 150, marker="|", color=theme.rejected, linewidth=2.2, label="wanted", zorder=4
        )
    axes.set_yticks(rows, [one_line(name) for name in strata])
    axes.set_ylim(len(strata) - 0.5, -0.5)


def legend(figure: Figure, axes: Axes, theme: Theme, *, backwards: bool = False) -> None:
    """Which colour stands for what, in one line above the plot."""
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


def two_lines(name: str) -> str:
    """A name in at most two short lines."""
    return textwrap.fill(name, LINE, max_lines=LINES, placeholder="…")


def one_line(name: str) -> str:
    """A name in one line; a long one without its end."""
    line = " ".join(name.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
