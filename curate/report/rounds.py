"""The page of the rounds of `improve`: what each model can, what it cost, and its images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invdpo.curate.report.page import plot_values, render_template
from invdpo.curate.report.plots.draw import Plot
from invdpo.curate.report.plots.lines import CurvePoint, draw_curve
from invdpo.curate.report.thumbnails import Thumbnail
from invdpo.curate.storage.atomic import replacing_folder

PAGE, DATA = "index.html", "rounds.json"
SHOWN = 6
"""Prompts of which images are shown."""


@dataclass(frozen=True)
class RoundImage:
    """The image of one model for a prompt."""

    label: str
    thumbnail: Thumbnail | None
    right: bool | None
    """Whether every fact of the prompt holds; None where it is unknown."""


@dataclass(frozen=True)
class ImageStrip:
    """The images of one prompt and seed, from round to round."""

    prompt: str
    images: tuple[RoundImage, ...]


@dataclass(frozen=True)
class RoundsPage:
    """Everything that the page shows; a row of each table is one model, the base model first."""

    name: str
    rows: Sequence[Mapping[str, Any]]
    """As `invdpo improve --json` prints them."""
    facts: Mapping[str, Sequence[tuple[int, int]]]
    """Kind of fact -> for each model how many hold, and how many there are."""
    best: int
    main_figure: str
    held_out: str | None
    changes: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """Round -> the options that changed with it, a line each."""
    strips: Sequence[ImageStrip] = ()
    stopped: str = ""
    warning: str = ""
    version: str = ""

    @property
    def labels(self) -> list[str]:
        """What the models are called."""
        return ["base", *(str(row["round"]) for row in self.rows[1:])]


def write_rounds_page(page: RoundsPage, folder: Path, data: bytes) -> Path:
    """Write the page, a PNG for each curve, and `data` as JSON beside them; the page's path.

    Raises `WorkspaceError` for a folder that can't be written, `DataError` for one with other
    things in it.
    """
    plots = [_curve(page, name) for name in page.rows[0]["figures"]]
    if any(row["diversity"] is not None for row in page.rows):
        plots.append(_diversity(page))
    names = frozenset({PAGE, DATA, *(f"{plot.name}.png" for plot in plots)})
    text = render_template("rounds.html.j2", page=page, plots=plot_values(plots), names=plots)
    with replacing_folder(folder, names) as new:
        for plot in plots:
            (new / f"{plot.name}.png").write_bytes(plot.light)
        (new / PAGE).write_bytes(text.encode())
        (new / DATA).write_bytes(data)
    return folder / PAGE


def _curve(page: RoundsPage, name: str) -> Plot:
    points = [
        CurvePoint(label, **row["figures"][name])
        for label, row in zip(page.labels, page.rows, strict=True)
    ]
    role = " (held out)" if name == page.held_out else ""
    return _plot(name, f"{name.replace('_', ' ')}{role}", points, page.best)


def _diversity(page: RoundsPage) -> Plot:
    known = [row["diversity"] for row in page.rows]
    values = [math.nan if value is None else value for value in known]
    points = [CurvePoint(label, v, v, v) for label, v in zip(page.labels, values, strict=True)]
    return _plot("diversity", "diversity of the images of a prompt", points, page.best)


def _plot(name: str, title: str, points: Sequence[CurvePoint], best: int) -> Plot:
    known = [point for point in points if not math.isnan(point.value)]
    values = ", ".join(f"{point.label}: {point.value:.3f}" for point in known)
    return Plot(name, f"{title} by round. {values}.", *draw_curve(points, title, best))
