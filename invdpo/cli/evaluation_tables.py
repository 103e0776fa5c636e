"""What `invdpo eval` prints in a terminal: figures of each tuned model, and those by category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from invdpo.console.output import table

if TYPE_CHECKING:
    from invdpo.curate.evaluation.results import Evaluation

FIGURES = (
    "figure",
    "prompts",
    "base",
    "tuned",
    "difference",
    "95 % interval",
    "better",
    "worse",
    "p",
)
CATEGORIES = ("category", "figure", "prompts", "base", "tuned", "difference [95 %]")


def evaluation_text(evaluations: Sequence[Evaluation], base: str, data: Mapping[str, Any]) -> str:
    """A table for each tuned model, then where everything is."""
    parts = [part for one in evaluations for part in _tables(one, base)]
    exported = [f"{folder}: {model}" for folder, model in data.get("export", {}).items()]
    parts += (
        ["\n".join(["Images for the benchmark's own evaluator:", *exported])] if exported else []
    )
    return "\n\n".join(
        [*parts, f"Images, base and tuned side by side: {data['page']} and {data['grid']}"]
    )


def _tables(evaluation: Evaluation, base: str) -> list[str]:
    figures = table(FIGURES, map(_figure_cells, evaluation.rows()))
    parts = [f"base: {base}, tuned: {evaluation.tuned}\n{figures}"]
    main = evaluation.main_figures
    rows = [row for row in evaluation.category_rows() if row["figure"] in main]
    return [*parts, table(CATEGORIES, map(_category_cells, rows))] if rows else parts


def _figure_cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    from invdpo.curate.report.page import signed

    low, high = row["difference_low"], row["difference_high"]
    counts = (row[name] for name in ("figure", "prompts", "base", "tuned"))
    interval = (signed(row["difference"]), f"{signed(low)} … {signed(high)}")
    return (*counts, *interval, row["better"], row["worse"], row["p_value"])


def _category_cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    spreads = (_spread(row, *of) for of in (("base", ""), ("tuned", ""), ("difference", "+")))
    return (row["category"], row["figure"], row["prompts"], *spreads)


def _spread(row: Mapping[str, Any], side: str, sign: str) -> str:
    """`0.500 [0.402, 0.598]`."""
    value, low, high = (row[f"{side}{end}"] for end in ("", "_low", "_high"))
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
