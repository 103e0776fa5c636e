"""Renders the page. All text from data is escaped, and the page loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from invdpo.curate.report.data import ReportData
from invdpo.curate.report.examples import PairGroup
from invdpo.curate.report.pair_views import PairView
from invdpo.curate.report.plots.draw import Plot
from invdpo.curate.report.provenance import ProvenanceRow
from invdpo.curate.report.thumbnails import data_uri

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGE = "invdpo.curate.report"


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    name: str
    """Of the workspace."""
    data: ReportData
    plots: Sequence[Plot]
    pairs: Mapping[str, PairView]
    worst: Sequence[PairGroup] = ()
    strata: Mapping[str, Sequence[PairGroup]] = field(default_factory=dict)
    provenance: Sequence[ProvenanceRow] = ()
    config_hash: str | None = None
    version: str = ""


def render(page: Page) -> str:
    """One HTML file that needs nothing else."""
    plots = plot_values(page.plots)
    return render_template("page.html.j2", page=page, findings=page.data.findings, plots=plots)


def plot_values(plots: Sequence[Plot]) -> dict[str, dict[str, Any]]:
    """What a template needs of each plot, by its name."""
    return {
        plot.name: {
            "alt": plot.alt,
            "size": plot.size,
            "light": data_uri(plot.light, "png"),
            "dark": data_uri(plot.dark, "png"),
        }
        for plot in plots
    }


def render_template(name: str, **values: Any) -> str:
    """A page by one of the templates, with our style in it."""
    from markupsafe import Markup

    style = files(PACKAGE).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The style is ours, and its hash is in the policy, so it is not escaped.
    return _environment().get_template(name).render(**values, style=Markup(style), digest=digest)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(PACKAGE, ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters |= {
        "number": number,
        "share": share,
        "count": count,
        "signed": signed,
        "weight": weight,
        "setting": setting,
    }
    return environment


def number(value: float | None) -> str:
    """Three decimals, fewer for large numbers, more for tiny ones; a dash where there is none."""
    if value is None:
        return "–"
    size = abs(value)
    form = ",.0f" if size >= 1000 else ".3f" if size >= 0.001 or value == 0 else ".2g"
    text = format(value, form)
    return text.replace("-", "−")


def signed(value: float | None) -> str:
    """A difference, with its sign."""
    text = number(value)
    return f"+{text}" if value is not None and value > 0 else text


def share(value: float | None) -> str:
    """A share of 0..1 in percent."""
    return "–" if value is None else f"{value:.1%}".replace("%", " %")


def count(value: int | None) -> str:
    """An integer with separated thousands."""
    return "–" if value is None else f"{value:,}"


def weight(value: float) -> str:
    """As it would be typed."""
    return f"{value:g}"


def setting(value: Any) -> str:
    """A value of the configuration in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {setting(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(setting, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return weight(value) if isinstance(value, float) else str(value)
