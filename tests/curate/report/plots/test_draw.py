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

from invdpo.curate.report.data import Material, gather
from invdpo.curate.report.findings import Agreement, Filter, Stratum
from invdpo.curate.report.plots import bars, distributions, matrices
from invdpo.curate.report.plots.draw import PLOTS, draw_plots
from invdpo.curate.report.plots.theme import DARK, LIGHT, png, styled
from tests.curate.report.report_workspaces import workspace

ODD = "$\\frac{x$ 画像 " + "long " * 30
"""A name that is no mathematics, in a script that the font lacks, and too long for a plot."""


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return gather(workspace(tmp_path_factory.mktemp("plots") / "work", ["a"] * 12))


def changed(material: Material, **changes: Any) -> Material:
    findings = material.findings.model_copy(update=changes)
    return Material(findings, material.pairs, material.raw, material.prompts)


def odd(material: Material) -> Material:
    """Every part of the report under an odd name."""
    found = material.findings
    matrix = [[1.0, None], [None, 1.0]]
    new = changed(
        material,
        filters=[Filter(name=ODD, unit="candidates", before=0, after=0)],
        scorers={ODD: found.scorers["clip"]},
        agreement=Agreement(scorers=[ODD, "b"], rank_correlation=matrix, disagreement=matrix),
        strata={ODD: {ODD: Stratum(prompts=0, pairs=0, wanted=0.5)}},
    )
    return Material(new.findings, new.pairs, {ODD: material.raw["clip"]}, new.prompts)


def test_odd_names(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mpl.rcParams, "axes.titlecolor", "lime")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots = draw_plots(odd(material))
    assert [plot.name for plot in plots] == list(PLOTS)
    for plot in plots:
        for data, theme in ((plot.light, LIGHT), (plot.dark, DARK)):
            with Image.open(io.BytesIO(data)) as image:
                assert image.size == plot.size
                ground = image.convert("RGB").getpixel((0, 0))
            assert ground == tuple(bytes.fromhex(theme.ground[1:]))


def test_nothing_to_draw(material: Material) -> None:
    empty = Material(
        changed(material, filters=[], scorers={}, strata={}, agreement=None).findings, raw={}
    )
    units = [step.unit for step in empty.findings.steps]
    assert units == ["candidates", "prompts"]  # they are told even where no filter dropped any
    assert [plot.name for plot in draw_plots(empty)] == ["filters"]


def test_bars_of_the_funnel(material: Material) -> None:
    steps = [
        Filter(name="a", unit="candidates", before=200, after=150),
        Filter(name="b", unit="candidates", before=150, after=50),
        Filter(name="c", unit="prompts", before=20, after=20),
    ]
    with styled():
        figure = bars.funnel(changed(material, filters=steps), LIGHT)
    assert figure is not None
    widths = [patch.get_width() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert widths[1::2] == [1, 0.75, 0.25, 1, 1]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["candidates", "a", "b", "prompts", "c"]


def test_votes_add_up(material: Material) -> None:
    with styled():
        figure = bars.votes(material, LIGHT)
    assert figure is not None
    widths = [patch.get_width() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert sum(widths) == pytest.approx(len(material.findings.scorers))


def test_cells_of_the_matrices(material: Material) -> None:
    rows = [[1.0, -0.25, None], [-0.25, 1.0, 0.5], [None, 0.5, 1.0]]
    found = Agreement(scorers=["a", "b", "c"], rank_correlation=rows, disagreement=rows)
    with styled():
        figure = matrices.correlation(changed(material, agreement=found), DARK)
    assert figure is not None
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["+1.00", "-0.25", "–", "-0.25", "+1.00", "+0.50", "–", "+0.50", "+1.00"]


def test_margins_that_are_not_numbers_are_left_out(material: Material) -> None:
    rows = [*material.pairs, {"margin": float("nan")}, {"margin": None}]
    with styled():
        figure = distributions.margins(Material(material.findings, rows), LIGHT)
        none = distributions.margins(Material(material.findings, rows[-2:]), LIGHT)
    assert figure is not None
    heights = [patch.get_height() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert sum(heights) == len(material.pairs)
    assert none is None


@pytest.mark.parametrize("values", [[2.0], [0.0, 0.0], [1e9, 1e9 + 1], [0.0, 1.0] * 5000])
def test_edges_hold_all_values(values: list[float]) -> None:
    edges = distributions.edges(np.array(values))
    assert 3 <= len(edges) <= distributions.MOST_BINS + 1
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= min(values)
    assert max(values) <= edges[-1]


def test_the_same_figure_gives_the_same_bytes(material: Material) -> None:
    with styled():
        one, two = (bars.balance(material, LIGHT) for _ in range(2))
        assert one is not None
        assert two is not None
        assert png(one) == png(two)
        assert b"Matplotlib" not in png(one)


def test_ends_of_scores_follow_the_pairs(tmp_path: Path) -> None:
    found = gather(workspace(tmp_path / "work", ["a"] * 3))
    chosen, rejected = found.raw["clip"]
    assert [row["chosen_id"] for row in found.pairs] == ["p0-0", "p1-0", "p2-0"]
    assert chosen.tolist() == [0.5, 0.51, 0.52]
    assert rejected.tolist() == [0.25] * 3
