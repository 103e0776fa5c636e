"""Figures over prompts with several images each, in all and by category."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from invdpo.curate.evaluation.results import (
    ALL_RIGHT,
    Outcome,
    Result,
    evaluate_results,
)
from invdpo.curate.evaluation.results_table import write_results
from invdpo.curate.evaluation.statistics import mean


def outcome(right: float | None, clip: float = 0.5) -> Outcome:
    if right is None:
        return Outcome(None, 1, {}, ("refused",), {"composition": "refused", "clip": "refused"})
    figures = {"composition": right, ALL_RIGHT: right, "clip": clip}
    return Outcome(b"", 1, figures, () if right else ("no cat",), {}, "c")


def results() -> tuple[Result, ...]:
    """Two images of each of three prompts; base and tuned are right or wrong, or refused."""
    rows = [
        ("a", "color", (1, 1), (0, 1)),
        ("b", "color", (0, 1), (0, None)),
        ("c", "spatial", (0, 1), (0, 1)),
    ]
    return tuple(
        Result(name, f"prompt {name}", outcome(base), outcome(tuned), category, number)
        for name, category, *images in rows
        for number, (base, tuned) in enumerate(images)
    )


def test_a_prompt_counts_once_by_the_mean_of_its_images() -> None:
    """a: base 1/2, tuned 1. b: 0 and 1, its second image was refused. c: 0 and 1."""
    evaluation = evaluate_results(results(), ["composition", "clip"], [], "t")
    comparison = evaluation.comparisons[ALL_RIGHT]
    assert comparison.base == mean([0.5, 0, 0])
    assert comparison.tuned == mean([1, 1, 1])
    assert comparison.difference == mean([0.5, 1, 1])
    assert (comparison.better, comparison.worse) == (3, 0)
    assert evaluation.notes == (
        "composition scored 5 of 6 pairs of images: 1 x refused.",
        "clip scored 5 of 6 pairs of images: 1 x refused.",
    )


def test_each_category_has_its_figures() -> None:
    evaluation = evaluate_results(results(), ["composition", "clip"], [], "t")
    rows = {(row["category"], row["figure"]): row for row in evaluation.category_rows()}
    assert len(rows) == 6
    color, spatial = rows["color", ALL_RIGHT], rows["spatial", ALL_RIGHT]
    assert (color["prompts"], spatial["prompts"]) == (2, 1)
    assert (color["base"], color["tuned"], spatial["difference"]) == (0.25, 1.0, 1.0)
    assert (color["difference"], color["difference_low"]) == pytest.approx(mean([0.5, 1])[:2])
    assert evaluation.main_figures == [ALL_RIGHT, "composition", "clip"]


def test_without_categories_there_is_no_table() -> None:
    plain = tuple(Result(r.prompt_id, r.prompt, r.base, r.tuned) for r in results())
    assert evaluate_results(plain, ["clip"], [], "t").category_rows() == []


def test_one_row_for_each_model_prompt_and_image(tmp_path: Path) -> None:
    found = [evaluate_results(results(), ["composition", "clip"], [], name) for name in ("t", "u")]
    write_results(tmp_path / "results.parquet", "lab/base", found)
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    keys = [(row["role"], row["model"], row["prompt_id"], row["image"]) for row in rows]
    assert len(set(keys)) == len(rows) == 3 * 6
    assert keys[0] == ("base", "lab/base", "a", 0)
    refused = next(row for row in rows if row["model"] == "u" and row[ALL_RIGHT] is None)
    assert (refused["prompt_id"], refused["image"], refused["clip"]) == ("b", 1, None)
    assert dict(refused["errors"])["clip"] == "refused"
    assert {row["category"] for row in rows} == {"color", "spatial"}
