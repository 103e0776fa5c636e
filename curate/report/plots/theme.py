"""How the report's plots look: two colour schemes, sizes, and reproducible PNG files.

Blue and orange can be distinguished with every common kind of colour blindness, and in grey.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
WIDTH = 3.6
"""Inches: as many as a phone has, so that text has there the size that it is drawn in."""


class Theme(NamedTuple):
    """Colours of one scheme."""

    ground: str
    ink: str
    muted: str
    rule: str
    chosen: str
    rejected: str
    neutral: str
    """Bars that are neither chosen nor rejected."""
    low: str
    """Zero on a scale of colours: its end, or its middle where it has two ends."""


LIGHT = Theme(
    ground="#ffffff",
    ink="#1b1f24",
    muted="#59636e",
    rule="#d9dee3",
    chosen="#0b62a4",
    rejected="#c2570c",
    neutral="#aab4be",
    low="#f6f7f8",
)
DARK = Theme(
    ground="#171b20",
    ink="#e8eaed",
    muted="#a0aab4",
    rule="#363d45",
    chosen="#5aa9e6",
    rejected="#f0913e",
    neutral="#5b6672",
    low="#20262c",
)


def new_figure(theme: Theme, height: float) -> Figure:
    """An empty figure of the report's width, `height` inches high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor=theme.ground)
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Axes, theme: Theme, *, grid: str = "", title: str = "") -> None:
    """Quiet axes: no box, faint lines across `grid` ("x" or "y"), our colours and sizes."""
    axes.set_facecolor(theme.ground)
    axes.tick_params(colors=theme.muted, labelsize=9, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom" and grid != "x")
        spine.set_color(theme.rule)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set(color=theme.muted, fontsize=9)
    if title:
        axes.set_title(title, loc="left", color=theme.ink, fontsize=10, fontweight="bold")
    if grid:
        axes.grid(axis=grid, color=theme.rule, linewidth=0.6)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def png(figure: Figure) -> bytes:
    """The image, the same bytes for the same figure: without date and version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return buffer.getvalue()


@contextmanager
def plot_style() -> Iterator[None]:
    """Ignores the user's own style, and takes no name from data for mathematics."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams |= {"text.parse_math": False, "font.family": "DejaVu Sans"}
        # Names in a script that the font lacks become boxes; the page has them in its tables.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield
