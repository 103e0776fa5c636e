"""The figures of an evaluation, as a terminal shows them."""

from __future__ import annotations

from invdpo.cli.evaluation_tables import evaluation_text
from invdpo.curate.evaluation.results import Outcome, Result, evaluate_results


def test_small_differences_keep_their_digits() -> None:
    base, tuned = (Outcome(None, 1, {"clip": value}, ()) for value in (0.08423, 0.08462))
    found = evaluate_results((Result("p", "prompt", base, tuned),), [], [], "t")
    text = evaluation_text([found], "b", {"page": "page", "grid": "grid"})
    assert "+0.00039" in text
    assert "+0.000 " not in text
