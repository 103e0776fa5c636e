"""Each plot is drawn when there is something to draw, in both schemes, whatever the names."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from invdpo.curate.report.data import ReportData, read_report_data
from invdpo.curate.report.findings import Agreement, Filter, StratumFindings
from invdpo.curate.report.plots import bars, distributions, matrices
from invdpo.curate.report.plots.draw import PLOTS, draw_plots
from invdpo.curate.report.plots.theme import DARK, LIGHT, plot_style, png
from tests.curate.report.report_workspaces import workspace

ODD_NAME = "$\\frac{x$ 画像 " + "long " * 30
"""A name that is no mathematics, in a script that the font lacks, and too long for a plot."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    return read_report_data(workspace(tmp_path_factory.mktemp("plots") / "work", ["a"] * 12))


def with_findings(data: ReportData, **changes: Any) -> ReportData:
    findings = data.findings.model_copy(update=changes)
    return ReportData(findings, data.pairs, data.raw, data.prompts)


def with_odd_names(data: ReportData) -> ReportData:
    """Every part of the report under an with_odd_names name."""
    findings = data.findings
    matrix = [[1.0, None], [None, 1.0]]
    new = with_findings(
        data,
        filters=[Filter(name=ODD_NAME, unit="candidates", before=0, after=0)],
        scorers={ODD_NAME: findings.scorers["clip"]},
        agreement=Agreement(scorers=[ODD_NAME, "b"], rank_correlation=matrix, disagreement=matrix),
        strata={ODD_NAME: {ODD_NAME: StratumFindings(prompts=0, pairs=0, wanted=0.5)}},
    )
    return ReportData(new.findings, new.pairs, {ODD_NAME: data.raw["clip"]}, new.prompts)


def test_odd_names(data: ReportData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mpl.rcParams, "axes.titlecolor", "lime")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots = draw_plots(with_odd_names(data))
    assert [plot.name for plot in plots] == list(PLOTS)
    for plot in plots:
        for content, theme in ((plot.light, LIGHT), (plot.dark, DARK)):
            with Image.open(io.BytesIO(content)) as image:
                assert image.size == plot.size
                ground = image.convert("RGB").getpixel((0, 0))
            assert ground == tuple(bytes.fromhex(theme.ground[1:]))


def test_nothing_to_draw(data: ReportData) -> None:
    empty = ReportData(
        with_findings(data, filters=[], scorers={}, strata={}, agreement=None).findings, raw={}
    )
    units = [step.unit for step in empty.findings.steps]
    assert units == ["candidates", "prompts"]  # they are told even where no filter dropped any
    assert [plot.name for plot in draw_plots(empty)] == ["filters"]


def test_bars_of_the_funnel(data: ReportData) -> None:
    steps = [
        Filter(name="a", unit="candidates", before=200, after=150),
        Filter(name="b", unit="candidates", before=150, after=50),
        Filter(name="c", unit="prompts", before=20, after=20),
    ]
    with plot_style():
        figure = bars.funnel(with_findings(data, filters=steps), LIGHT)
    assert figure is not None
    widths = [patch.get_width() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert widths[1::2] == [1, 0.75, 0.25, 1, 1]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["candidates", "a", "b", "prompts", "c"]


def test_numbers_of_the_funnel_fit_beside_long_names(data: ReportData) -> None:
    name = "best and worst look and score the same"
    steps = [Filter(name=name, unit="pairs", before=44_560_000, after=11_140_000)]
    with plot_style():
        figure = bars.funnel(with_findings(data, filters=steps), LIGHT)
        assert figure is not None
        figure.draw_without_rendering()
    (counts,) = figure.axes[0].child_axes
    texts = {label.get_text(): label.get_window_extent() for label in counts.get_yticklabels()}
    assert {"44,560,000", "11,140,000 · 25.0%"} <= texts.keys()
    assert max(box.x1 for box in texts.values()) <= figure.bbox.x1
    assert min(box.x0 for box in texts.values()) >= figure.axes[0].bbox.x1


def test_votes_add_up(data: ReportData) -> None:
    with plot_style():
        figure = bars.votes(data, LIGHT)
    assert figure is not None
    widths = [patch.get_width() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert sum(widths) == pytest.approx(len(data.findings.scorers))


def test_cells_of_the_matrices(data: ReportData) -> None:
    rows = [[1.0, -0.25, None], [-0.25, 1.0, 0.5], [None, 0.5, 1.0]]
    agreement = Agreement(scorers=["a", "b", "c"], rank_correlation=rows, disagreement=rows)
    with plot_style():
        figure = matrices.correlation(with_findings(data, agreement=agreement), DARK)
    assert figure is not None
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["+1", "-.25", "–", "-.25", "+1", "+.50", "–", "+.50", "+1"]


def test_margins_that_are_not_numbers_are_left_out(data: ReportData) -> None:
    rows = [*data.pairs, {"margin": float("nan")}, {"margin": None}]
    with plot_style():
        figure = distributions.margins(ReportData(data.findings, rows), LIGHT)
        none = distributions.margins(ReportData(data.findings, rows[-2:]), LIGHT)
    assert figure is not None
    heights = [patch.get_height() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert sum(heights) == len(data.pairs)
    assert none is None


@pytest.mark.parametrize("values", [[2.0], [0.0, 0.0], [1e9, 1e9 + 1], [0.0, 1.0] * 5000])
def test_edges_hold_all_values(values: list[float]) -> None:
    edges = distributions.edges(np.array(values))
    assert 3 <= len(edges) <= distributions.MOST_BINS + 1
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= min(values)
    assert max(values) <= edges[-1]


def test_the_same_figure_gives_the_same_bytes(data: ReportData) -> None:
    with plot_style():
        first, second = (bars.balance(data, LIGHT) for _ in range(2))
        assert first is not None
        assert second is not None
        assert png(first) == png(second)
        assert b"Matplotlib" not in png(first)


def test_ends_of_scores_follow_the_pairs(tmp_path: Path) -> None:
    data = read_report_data(workspace(tmp_path / "work", ["a"] * 3))
    chosen, rejected = data.raw["clip"]
    assert [row["chosen_id"] for row in data.pairs] == ["p0-0", "p1-0", "p2-0"]
    assert chosen.tolist() == [0.5, 0.51, 0.52]
    assert rejected.tolist() == [0.25] * 3
