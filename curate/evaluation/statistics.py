"""95 % intervals of proportions, means and paired differences, and the sign test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from invdpo.schemas import DataError

Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """Two models on the same prompts."""

    base: Interval
    tuned: Interval
    difference: Interval
    """Tuned minus base, paired by prompt."""
    better: int
    """Prompts on which tuned is above base."""
    worse: int
    p_value: float
    """Two-sided exact sign test on these prompts (McNemar's test for right or wrong)."""


def wilson(successes: int, total: int) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927). Raises `DataError` if `total` is 0."""
    _require(total)
    from scipy.stats import binomtest

    low, high = binomtest(successes, total).proportion_ci(0.95, method="wilson")
    return Interval(successes / total, float(low), float(high))


def mean(values: Sequence[float]) -> Interval:
    """Mean with its normal interval; the interval of a single value is that value."""
    _require(len(values))
    average = math.fsum(values) / len(values)
    squares = math.fsum((value - average) ** 2 for value in values)
    half = Z95 * math.sqrt(squares / max(1, len(values) - 1) / len(values))
    return Interval(average, average - half, average + half)


def compare(base: Sequence[float], tuned: Sequence[float]) -> Comparison:
    """Two lists of figures of the same prompts in the same order; 1 and 0 mean right and wrong.

    Proportions get Wilson's interval, other figures the normal one, and so does the difference.
    Raises `DataError` for lists that are empty or of different length.
    """
    if len(base) != len(tuned):
        raise DataError(f"{len(base)} base results and {len(tuned)} tuned ones can't be paired.")
    differences = [float(b) - float(a) for a, b in zip(base, tuned, strict=True)]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    binary = {*map(float, base), *map(float, tuned)} <= {0.0, 1.0}
    base_interval, tuned_interval = (
        wilson(int(sum(values)), len(values)) if binary else mean(values)
        for values in (base, tuned)
    )
    p_value = sign_test(better, worse)
    difference = mean(differences)
    return Comparison(base_interval, tuned_interval, difference, better, worse, p_value)


def sign_test(better: int, worse: int) -> float:
    """Two-sided exact probability of counts at least this unequal if both were equally likely."""
    from scipy.stats import binomtest

    total = better + worse
    return float(binomtest(better, total).pvalue) if total else 1.0


def _require(total: int) -> None:
    if total < 1:
        raise DataError("No results to measure: evaluate at least one prompt.")
