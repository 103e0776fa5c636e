"""Intervals against closed forms and textbook values."""

import math

import pytest

from invdpo.curate.evaluation.statistics import compare, mean, sign_test, wilson
from invdpo.schemas import DataError


def test_wilson() -> None:
    """8 of 10: .4902 to .9433, the textbook value. 0 of n ends at z²/(n + z²)."""
    found = wilson(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4901625, 0.9433178))
    nothing = wilson(0, 10)
    assert nothing.low == 0.0
    assert nothing.high == pytest.approx(3.841459 / 13.841459, rel=1e-5)


def test_mean() -> None:
    """1, 2, 3: mean 2, sd 1, half width 1.96/sqrt 3."""
    half = 1.959963985 / math.sqrt(3)
    assert mean([1, 2, 3]) == pytest.approx((2, 2 - half, 2 + half))
    assert mean([5]) == (5, 5, 5)


def test_compare_pairs_by_prompt() -> None:
    """Differences 1, 1, 0, -1: mean 1/4, sd sqrt(11/12); 2 better, 1 worse: p = 1."""
    found = compare([0, 0, 1, 1], [1, 1, 1, 0])
    half = 1.959963985 * math.sqrt(11 / 12 / 4)
    assert found.difference == pytest.approx((0.25, 0.25 - half, 0.25 + half))
    assert (found.better, found.worse, found.p_value) == (2, 1, 1.0)
    assert found.base == wilson(2, 4)
    assert compare([True, False], [True, True]).tuned == wilson(2, 2)


def test_compare_of_fractions_takes_the_normal_interval() -> None:
    assert compare([0.5, 1], [0.25, 1]).base == mean([0.5, 1])


def test_sign_test() -> None:
    """Of 6 all better: 2/64. None: 1."""
    assert sign_test(6, 0) == pytest.approx(2 / 64)
    assert sign_test(0, 0) == 1.0


def test_nothing_to_compare() -> None:
    with pytest.raises(DataError, match="at least one prompt"):
        compare([], [])
    with pytest.raises(DataError, match="can't be paired"):
        compare([1], [])
