"""The curve of a figure from round to round: what its artists say, and a point that is missing."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np
from PIL import Image

from invdpo.curate.report.plots.lines import CurvePoint, _curve, draw_curve
from invdpo.curate.report.plots.theme import DARK, LIGHT, plot_style

POINTS = [
    CurvePoint("base", 0.25, 0.125, 0.5),
    CurvePoint("1", 0.75, 0.5, 1.0),
    CurvePoint("2", 0.5, 0.25, 0.625),
]


def axes(points: list[CurvePoint], best: int) -> Any:
    with plot_style():
        return _curve(points, "share $x", best, LIGHT).axes[0]


def test_line_band_base_and_best_point() -> None:
    drawn = axes(POINTS, 1)
    line, base, best = drawn.lines
    assert list(line.get_ydata()) == [0.25, 0.75, 0.5]
    assert list(base.get_ydata()) == [0.25, 0.25]
    assert [*best.get_xdata(), *best.get_ydata()] == [1, 0.75]
    assert best.get_color() == LIGHT.rejected
    corners = {tuple(corner) for corner in drawn.collections[0].get_paths()[0].vertices.tolist()}
    assert corners == {(n, end) for n, p in enumerate(POINTS) for end in (p.low, p.high)}
    assert [text.get_text() for text in drawn.texts] == ["0.250", "0.750", "0.500"]
    assert [label.get_text() for label in drawn.get_xticklabels()] == ["base", "1", "2"]
    assert drawn.get_title(loc="left") == "share $x"


def test_a_point_without_a_figure_is_a_gap_and_no_zero() -> None:
    points = [CurvePoint("base", *(math.nan,) * 3), *POINTS[1:]]
    drawn = axes(points, 1)
    assert [text.get_text() for text in drawn.texts] == ["0.750", "0.500"]
    assert np.isnan(drawn.lines[0].get_ydata()[0])
    assert drawn.get_ylim()[0] > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for content, theme in zip(draw_curve(points, "share", 1), (LIGHT, DARK), strict=True):
            with Image.open(io.BytesIO(content)) as image:
                ground = image.convert("RGB").getpixel((0, 0))
                assert ground == tuple(bytes.fromhex(theme.ground[1:]))


def test_rounding_alone_does_not_fill_the_plot() -> None:
    bottom, top = axes(
        [CurvePoint("base", 0, -1e-18, 1e-18), CurvePoint("1", 0, 0, 0)], 0
    ).get_ylim()
    assert -1 < bottom < -1e-3
    assert 1e-3 <= top < 1
